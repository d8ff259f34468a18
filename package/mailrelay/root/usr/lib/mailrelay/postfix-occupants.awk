# Who listens already where master is to: a line "ENDPOINT NAME PID" for each endpoint of WANTED (environment) that is
# taken. Asks /proc (proc(5)) alone: not every busybox' netstat names programs.

END {
	RS = "\n"
	n = split(ENVIRON["WANTED"], endpoint, " ")
	find_listeners("/proc/net/tcp")
	find_listeners("/proc/net/tcp6")
	for (i = 1; i <= n; i++) {
		port = address = endpoint[i]
		sub(/.*:/, "", port)
		sub(/:[^:]*$/, "", address)
		gsub(/[][]/, "", address)
		address = ip(address)
		for (k = 1; k <= listeners; k++)
			if (listen_port[k] == port + 0 && (listen_at[k] ~ /^0+$/ || listen_at[k] == address || listen_at[k] == swapped(address)))
				sockets[i] = sockets[i] " " inode[k] " "
		if (sockets[i] != "")
			print endpoint[i], owner(sockets[i])
	}
}

function find_listeners(table,    line, f, place) {
	while ((getline line < table) > 0) {
		sub(/^ */, "", line)
		split(line, f, / +/)
		if (f[4] == "0A") {
			split(tolower(f[2]), place, ":")
			listen_at[++listeners] = place[1]
			listen_port[listeners] = hex(place[2])
			inode[listeners] = f[10]
		}
	}
	close(table)
}

# The bytes of each word of 32 bits the other way round: the kernel shows words in the CPU's order.
function swapped(address,    at, out) {
	for (at = 1; at < length(address); at += 8)
		out = out substr(address, at + 6, 2) substr(address, at + 4, 2) substr(address, at + 2, 2) substr(address, at, 2)
	return out
}

# "NAME PID" of the oldest process that has one of the sockets open.
function owner(inodes,    command, line, pid, found, name_) {
	command = "ls -l /proc/[0-9]*/fd 2>/dev/null"
	while ((command | getline line) > 0) {
		if (line ~ /^\/proc\/[0-9]+\/fd:$/) {
			pid = line
			gsub(/[^0-9]/, "", pid)
		} else if (match(line, /socket:\[[0-9]+\]$/))
			if (index(inodes, " " substr(line, RSTART + 8, RLENGTH - 9) " ") && (found == "" || pid + 0 < found + 0))
				found = pid
	}
	close(command)
	name_ = "another"
	if (found != "")
		getline name_ < ("/proc/" found "/comm")
	gsub(/[^A-Za-z0-9._-]/, "", name_)
	return name_ " " found
}
