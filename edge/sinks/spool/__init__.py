"""The spool: frames in a folder of bounded size, for months without anybody near."""
