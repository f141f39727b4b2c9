# bash completion for agentvm, which knows its commands and options itself.
_agentvm()
{
    local line i
    local -a words=()

    for ((i = 1; i <= COMP_CWORD; i++)); do
        # bash takes --agent=claude for three words.
        if ((${#words[@]})) && [[ ${COMP_WORDS[i]} == =* || ${COMP_WORDS[i - 1]} == = ]]; then
            words[-1]+=${COMP_WORDS[i]}
        else
            words+=("${COMP_WORDS[i]}")
        fi
    done
    COMPREPLY=()
    while read -r line; do
        case $line in
        :files) compopt -o default ;;
        :folders) compopt -o dirnames ;;
        *)
            line=${line%%$'\t'*}
            [[ $COMP_WORDBREAKS == *=* ]] && line=${line#--*=}
            COMPREPLY+=("$line")
            ;;
        esac
    done < <(command agentvm completion words -- "${words[@]}" 2>/dev/null)
}
complete -F _agentvm agentvm
