# Tab completion of ./samebits in bash, called by any path: source path/to/scripts/completion.bash
_samebits() {
  local word=${COMP_WORDS[COMP_CWORD]} group="" conf words
  conf=$(dirname "$(readlink -f "$(type -P "${COMP_WORDS[0]}")")")/conf
  # Bash splits words at =, and an = that nothing follows is a word, too.
  if [ "$word" = = ]; then
    group=${COMP_WORDS[COMP_CWORD - 1]} word=""
  elif [ "${COMP_WORDS[COMP_CWORD - 1]}" = = ]; then
    group=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  if [ "$group" ]; then
    words=$(cd "$conf/$group" 2>/dev/null && printf '%s\n' *.yaml | sed 's/\.yaml$//')
  elif [ "$COMP_CWORD" = 1 ]; then
    words="run certificate verify trust diff bundle replay repair sweep report --help --version"
  else
    words=$(cd "$conf" && printf '%s=\n' */ | sed 's,/,,')" seed= name= checkpoint= trace= script= inputs= outputs= packages="
    words+=" --cores --dry-run --keep-going --configfile --profile --help"
    compopt -o nospace
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -o default -F _samebits samebits
