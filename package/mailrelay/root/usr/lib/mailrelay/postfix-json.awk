# Reads `postqueue -j`: an object a line, whose order of members is fixed. For postfix-queue.awk and postfix-stuck.awk.

# A member's value as it stands there, escapes and all; the first of that name.
function member(name,    at, rest) {
	at = index($0, "\"" name "\": ")
	if (!at)
		return ""
	rest = substr($0, at + length(name) + 4)
	if (substr(rest, 1, 1) != "\"") {
		sub(/[,}].*/, "", rest)
		return rest
	}
	return text(substr(rest, 2))
}

# Up to the quote that ends a string.
function text(rest,    i, c) {
	for (i = 1; i <= length(rest); i++) {
		c = substr(rest, i, 1)
		if (c == "\\")
			i++
		else if (c == "\"")
			return substr(rest, 1, i - 1)
	}
	return rest
}
