# The providers in use, best first, as the inside of a list of JSON.

END {
	find_routes()
	for (i = 1; i <= hosts; i++) {
		place = destination(HOST[i])
		sub(/^\[/, "", place)
		sub(/\]:/, ":", place)
		printf "%s\"%s\"", (i > 1 ? ", " : ""), place
	}
}
