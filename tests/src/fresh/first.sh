# SPDX-License-Identifier: GPL-2.0
# The first process of a root folder: runs a command and, when that has ended, writes down what it left behind.
#     sh -c "$(cat first.sh)" first.sh FOLDER WATCHED… -- COMMAND…
# FOLDER gets the files `left` and `status`; in the folders WATCHED nothing may appear. Only the shell's own words and
# coreutils are used: there is no `ps` in a bare Debian.
set -u
report=$1
shift
watched=
while [ "$1" != -- ]; do
    watched="$watched $1"
    shift
done
shift

things() {
    while read -r _ _ _ _ target _; do echo "mount $target"; done </proc/self/mountinfo
    for dir in $watched; do
        for path in "$dir"/* "$dir"/.[!.]*; do
            if [ -e "$path" ] || [ -L "$path" ]; then echo "file $path"; fi
        done
    done
}

# Processes but for this one and those that have ended and have not been waited for.
processes() {
    for status in /proc/[0-9]*/status; do
        name= state= number=
        while read -r key value _; do
            case $key in
            Name:) name=$value ;;
            State:) state=$value ;;
            Pid:) number=$value ;;
            esac
        done 2>/dev/null <"$status"
        case $number:$state in
        1:* | *:Z | :*) ;;
        *) echo "process $name" ;;
        esac
    done
}

things | sort >"$report/before"
"$@"
echo $? >"$report/status"
# Those that end with their parent are sent a signal when it ends, and get a moment to obey.
tries=30
while [ -n "$(processes)" ] && [ $tries -gt 0 ]; do
    sleep 0.1
    tries=$((tries - 1))
done
things | sort >"$report/after"
{
    comm -13 "$report/before" "$report/after"
    processes
} >"$report/left"
