
# In place of the function above, which needs the package bash-completion: the
# line's words up to the cursor, where "=" and ":" divide none.
__banger_init_completion() {
    COMPREPLY=()
    if declare -F _get_comp_words_by_ref >/dev/null; then
        _get_comp_words_by_ref "$@" cur prev words cword
        return
    fi
    local line=${COMP_LINE:0:COMP_POINT}
    read -ra words <<<"$line"
    case $line in
        *[[:space:]]) words+=("") ;;
    esac
    cword=$((${#words[@]} - 1))
    cur=${words[cword]}
    prev=${words[cword - 1]}
}
