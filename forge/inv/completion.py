"""Completion of ./inv in a shell: a script for each, and the words that may follow. Standard library only.

The scripts ask ./inv itself (`./inv --complete -- WORDS`), which installs nothing for an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forge.core.commandline import FIRST_ONLY, GLOBAL, SHELLS, Command

BASH = r"""_mailrelay_inv() {
    local IFS=$'\n' current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
    [ "$current" = = ] && current=
    [ "$before" = = ] && before=${COMP_WORDS[COMP_CWORD-2]}
    COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" --complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" \
        -- "$current"))
}
complete -o default -F _mailrelay_inv ./inv inv
"""
ZSH = r"""#compdef inv ./inv
_mailrelay_inv() {
    local -a found
    found=("${(@f)$("${words[1]}" --complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n ${found[1]} ]]; then compadd -- $found; else _files; fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
compdef _mailrelay_inv inv ./inv
"""
FISH = r"""function __mailrelay_inv
    set --local words (commandline --tokenize --cut-at-cursor --current-process) (commandline --current-token)
    $words[1] --complete -- $words[2..-1] 2>/dev/null
end
for name in inv ./inv
    complete --command $name --arguments '(__mailrelay_inv)'
end
"""
SCRIPTS = dict(zip(SHELLS, (BASH, ZSH, FISH), strict=True))


def candidates(words: Sequence[str], commands: Mapping[str, Command]) -> list[str]:
    """What the last of `words` (begun, or empty) may become; [] where the shell had better offer files."""
    *before, last = words or [""]
    if "--" in before:
        return []
    names = {name: one for one in commands.values() for name in (one.name, *one.aliases)}
    command = next((names[word] for word in reversed(before) if word in names), None)
    if command is None:
        return _beginning([*names, *GLOBAL, *FIRST_ONLY] if not last or last.startswith("-") else [*names], last)
    flags = command.by_flag()
    option = flags.get(before[-1])
    if option and option.takes_value:
        return _beginning(option.names(), last)
    name, equals, value = last.partition("=")
    if equals and name in flags:
        return [f"{name}={one}" for one in _beginning(flags[name].names(), value)]
    if last.startswith("-"):
        return _beginning([*flags, *GLOBAL], last)
    first = command.options[command.first].names() if command.first and before[-1] == command.name else []
    return _beginning(first or ([] if command.first else [*flags]), last)


def _beginning(names: Sequence[str], start: str) -> list[str]:
    return [name for name in names if name.startswith(start)]
