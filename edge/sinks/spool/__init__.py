"""The spool: keeps frames in a folder of bounded size for months, unattended."""
