"""The Raspberry Pi's ribbon-cable cameras."""
