#compdef agentvm
# zsh completion for agentvm, which knows its commands and options itself.
_agentvm()
{
    local line word files
    local -a found

    while IFS= read -r line; do
        word=${line%%$'\t'*}
        case $line in
        :files) files=_files ;;
        :folders) files="_files -/" ;;
        *) found+=("${word//:/\\:}:${line#*$'\t'}") ;;
        esac
    done < <(command agentvm completion words -- "${(@Q)words[2,CURRENT-1]}" "$PREFIX" 2>/dev/null)
    (( $#found )) && _describe -t words agentvm found && [[ -z $files ]] && return
    [[ -n $files ]] || return 1
    compset -P '--*='
    ${=files}
}

if [[ $funcstack[1] == _agentvm ]]; then
    _agentvm "$@"
else
    compdef _agentvm agentvm
fi
