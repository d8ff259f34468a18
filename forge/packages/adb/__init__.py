"""ADB, the format of apk 3's packages and indexes: read, written, dumped as text (apk-tools, adb.c)."""
