# fish completion for agentvm, which knows its commands and options itself.
function __agentvm_words
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l option (string match -r -- '^--[^=]*=' "$typed")
    set -l value (string replace -r -- '^--[^=]*=' '' "$typed")

    for line in (command agentvm completion words -- $words[2..] "$typed" 2>/dev/null)
        switch $line
            case :files
                for path in (__fish_complete_path "$value")
                    printf '%s\n' "$option$path"
                end
            case :folders
                for path in (__fish_complete_directories "$value")
                    printf '%s\n' "$option$path"
                end
            case '*'
                printf '%s\n' "$line"
        end
    end
end
complete -c agentvm -f -a '(__agentvm_words)'
