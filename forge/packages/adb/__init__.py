"""ADB, the format of apk 3's packages and indexes: read and written (apk-tools, adb.c)."""
