# Base64 on standard input to text. Its parts between NUL bytes are lines; the one that `field` numbers is printed.

BEGIN {
	digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	part = 1
}

{
	bits = count = 0
	for (i = 1; i <= length($0); i++) {
		value = index(digits, substr($0, i, 1)) - 1
		if (value < 0)
			continue
		bits = bits * 64 + value
		count += 6
		if (count < 8)
			continue
		count -= 8
		scale = count == 0 ? 1 : count == 2 ? 4 : 16
		byte = int(bits / scale)
		bits -= byte * scale
		if (!byte)
			part++
		else if (part == field)
			printf "%c", byte
	}
}
