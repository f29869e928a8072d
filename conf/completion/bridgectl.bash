# bash completion for bridgectl(8). It asks the program what may come next.
_bridgectl()
{
	local words

	COMPREPLY=()
	words=$("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
	if [ $? -eq 9 ]; then
		compopt -o default
	elif [ -n "$words" ]; then
		mapfile -t COMPREPLY <<<"$words"
	fi
}
complete -F _bridgectl bridgectl
