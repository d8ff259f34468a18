# Prints what the table that is read says of `address`: the rest of the line of the first network that holds it.

within(address, $1) {
	sub(/^[^ ]+ /, "")
	print
	exit
}
