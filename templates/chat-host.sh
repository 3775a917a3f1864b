#!/bin/sh
# What chat-deploy has to do as root on a Linux host. It comes with every call over SSH; a copy of it, made by `prepare`,
# is what chat-guard.service runs. Answers are lines "key value" (host/ssh/host/answer.rs reads them); a refusal is one
# line "refused why" and exit code 10.
#
# Putting a release to work is written down in the directory "activation" first. Then the guard, which no lost
# connection ends, switches to the release and waits. Whoever makes the file "decision" in there first decides:
# `confirm` says "confirmed", the guard says "back" when the release dies, nobody confirms it in time, or the guard finds
# the directory after a reboot. Every step may be taken again, so being cut off anywhere does no harm.
set -eu
export LC_ALL=C TZ=UTC PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 022
# The connection may break; what was begun is finished all the same.
trap '' HUP PIPE

top=/opt/chat etc=/etc/chat data=/var/lib/chat units=/etc/systemd/system
releases=$top/releases journal=$top/activation setback=$top/setback
service=chat-server.service socket=chat-server.socket guard=chat-guard.service
# By this the user is known as ours, and removed with the rest.
comment='chat server, made by chat-deploy'

refuse() {
    printf 'refused %s\n' "$*"
    exit 10
}

# Gives files that were written as FILE.new their names, each whole or not at all. All at once, since waiting for the disk
# is what takes time.
settle() { # files
    for file in "$@"; do set -- "$@" "$file.new" && shift; done
    sync "$@"
    for file in "$@"; do
        mv -T "$file" "${file%.new}"
        set -- "$@" "${file%/*}" && shift
    done
    sync "$@"
}

# Makes a file from another, with this mode and group, whole or not at all. For what is there already no room is needed.
put() { # from to mode group
    if cmp -s "$1" "$2"; then
        chmod "$3" "$2"
        chgrp "$4" "$2"
        return
    fi
    install -m "$3" -g "$4" "$1" "$2.new"
    settle "$2"
}

# The same from standard input, for root.
keep() { # to
    cat >"$1.new"
    settle "$1"
}

# Has systemd read units again that it knows otherwise than they are on the disk now. What it has not read yet it reads when
# it is asked, and reading everything takes it a tenth of a second.
reload_units() { # units
    case $(systemctl show -p LoadState,NeedDaemonReload "$@") in
    *=not-found* | *=yes*) systemctl daemon-reload ;;
    esac
}

encoded() { base64 -w 0; }

digest_of() { # file
    sha256sum "$1" 2>/dev/null | cut -c 1-64
}

free_bytes() {
    if [ -d "$top" ]; then at=$top; else at=/opt; fi
    [ -d "$at" ] || at=/
    df -Pk "$at" | awk 'NR == 2 { printf "%.0f\n", $4 * 1024 }'
}

seconds() { cut -d . -f 1 /proc/uptime; }

# A program of a release, run to be asked something: as the user it is meant for, not for long, without a network, and with
# nothing left of it afterwards. The first process of its namespace is a shell of root's: when that goes, all in there do.
as_chat() {
    timeout -s KILL 10 unshare --net --ipc --pid --fork --kill-child sh -c '"$@"; exit "$?"' sh \
        setpriv --reuid chat --regid chat --clear-groups --no-new-privs env -i PATH="$PATH" "$@"
}

has_data() { [ -n "$(ls -A "$data" 2>/dev/null)" ]; }

is_enabled() { systemctl is-enabled --quiet "$socket" 2>/dev/null; }

current() {
    if [ -L "$top/current" ]; then basename "$(readlink "$top/current")"; fi
}

deployed() { # release: when, 0 for never
    cat "$releases/$1/deployed" 2>/dev/null || echo 0
}

our_user() { getent passwd chat | grep -qF ":$comment:"; }

# --- looking ---------------------------------------------------------------------------------------------------------

foundation() {
    if our_user && [ -f "$etc/instance" ]; then
        cat "$top/bin/chat-host" "$units/$service" "$top/$socket" "$units/$guard" 2>/dev/null | sha256sum | cut -c 1-64
    else
        echo missing
    fi
}

# Our user is made before any file and removed after all of them: without it, whatever bears our names is somebody else's.
is_ours() { our_user || [ -f "$etc/instance" ]; }

# The server's process, its identity, and a release that the host went back from.
look() {
    shown=$(systemctl show "$service" \
        -p ActiveState,SubState,Result,MainPID,ExecMainCode,ExecMainStatus,ExecMainStartTimestamp)
    printf '%s\n' "$shown" | sed 's/^/service /'
    pid=$(printf '%s\n' "$shown" | sed -n 's/^MainPID=//p')
    if [ "${pid:-0}" != 0 ]; then
        program=$(readlink "/proc/$pid/exe" || :)
        [ -z "$program" ] || echo "program $program"
        started=$(printf '%s\n' "$shown" | sed -n 's/^ExecMainStartTimestamp=//p')
        echo "started $(date -d "$started" +%s 2>/dev/null || date +%s)"
    fi
    identity
    if [ -d "$setback" ]; then
        echo "setback $(cat "$setback/release") $(cat "$setback/at") $(encoded <"$setback/why")"
    fi
}

identity() {
    [ -s "$data/identity" ] || return 0
    said=
    # The current release knows; where it does not, because it is a bad one, another does.
    for program in "$top/current/chat-server" "$releases"/*/chat-server; do
        [ -x "$program" ] || continue
        if said=$(as_chat "$program" identity --data "$data" 2>&1); then
            echo "identity $said"
            return 0
        fi
    done
    echo "identity-problem $(printf '%s' "$said" | head -c 1000 | encoded)"
}

proof() {
    look
    if [ "${pid:-0}" != 0 ]; then
        digest=$(digest_of "/proc/$pid/exe")
        [ -z "$digest" ] || echo "digest $digest"
    fi
    echo end
}

state() {
    echo "architecture $(uname -m)"
    echo "libc $(getconf GNU_LIBC_VERSION 2>/dev/null || echo unknown)"
    echo "free $(free_bytes)"
    if [ ! -d /run/systemd/system ]; then echo "systemd no"; echo end; return; fi
    systemctl --version | awk 'NR == 1 { print "systemd", int($2) }'
    awk '$4 == "0A" { print "listening", $2 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null || :
    echo "foundation $(foundation)"
    if ! is_ours; then echo end; return; fi
    echo "files yes"
    if has_data; then echo "data yes"; fi
    if [ -f "$etc/instance" ]; then echo "instance $(cat "$etc/instance")"; fi
    for record in "$releases"/*/release.json; do
        [ -f "$record" ] || continue
        id=${record%/*} id=${id##*/}
        size=$(stat -c %s "$releases/$id/chat-server" 2>/dev/null || echo 0)
        echo "release $size $(deployed "$id") $(encoded <"$record")"
    done
    if [ -L "$top/current" ]; then echo "current $(current)"; fi
    if [ -f "$etc/server.toml" ]; then echo "config $(encoded <"$etc/server.toml")"; fi
    if [ -d "$journal" ] && ! is_confirmed; then
        echo "unconfirmed $(cat "$journal/former" 2>/dev/null || echo none)"
    fi
    if systemctl is-active --quiet "$socket"; then echo "socket yes"; fi
    look
    echo end
}

# What the running server says of itself, as JSON.
status() {
    as_chat "$top/current/chat-server" status --json --data "$data"
}

holder() { # port: who listens there
    ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:((\("[^"]*",pid=[0-9]*\).*/holder \1/p' | head -n 1
    echo end
}

log() { # span lines
    journalctl --sync 2>/dev/null || :
    case $1 in
    all) journalctl -q -u "$service" -n "$2" -o cat ;;
    last) log_of "$(systemctl show -p InvocationID --value "$service")" "$2" ;;
    # The log of what was put to work last, also where the former runs again by now.
    tried)
        if [ -f "$setback/log" ]; then
            tail -n "$2" "$setback/log"
        else
            log_of "$(cat "$journal/invocation" 2>/dev/null || systemctl show -p InvocationID --value "$service")" "$2"
        fi
        ;;
    esac
}

log_of() { # invocation lines
    [ -z "$1" ] || journalctl -q -n "$2" -o cat "_SYSTEMD_INVOCATION_ID=$1" + "INVOCATION_ID=$1"
}

# --- what releases stand on ------------------------------------------------------------------------------------------

# Nothing is written to what was there before us, and so nothing of it is ever removed with ours.
refuse_others() {
    for path in "$top" "$etc" "$data" "$units/$service" "$units/$socket" "$units/$guard"; do
        if [ -e "$path" ] || [ -L "$path" ]; then refuse files "$path"; fi
    done
}

prepare() { # instance; a tar of this script and the units on standard input
    instance=$1
    for tool in awk base64 cmp flock gzip journalctl setpriv sha256sum tar timeout unshare useradd; do
        command -v "$tool" >/dev/null || refuse no-tool "$tool"
    done
    if [ -f "$etc/instance" ] && [ "$(cat "$etc/instance")" != "$1" ]; then refuse instance "$(cat "$etc/instance")"; fi
    if ! is_ours; then refuse_others; fi
    if ! getent passwd chat >/dev/null; then
        useradd --system --user-group --no-create-home --home-dir "$data" --comment "$comment" \
            --shell "$(command -v nologin || echo /bin/false)" chat
    fi
    our_user || refuse user
    mkdir -p "$top/bin" "$releases"
    install -d -m 750 -g chat "$etc"
    draft=$top/.foundation
    rm -rf "$draft"
    mkdir "$draft"
    tar -xf - -C "$draft" --no-same-owner
    install -m 755 "$draft/chat-host" "$top/bin/chat-host.new"
    # Where the socket listens is known once there is a configuration: `switch` fills that in.
    install -m 644 "$draft/$socket" "$top/$socket.new"
    set -- "$top/bin/chat-host" "$top/$socket"
    for unit in "$service" "$guard"; do
        cmp -s "$draft/$unit" "$units/$unit" && continue
        install -m 644 "$draft/$unit" "$units/$unit.new"
        set -- "$@" "$units/$unit"
    done
    settle "$@"
    rm -rf "$draft"
    reload_units "$service" "$guard"
    systemctl enable --quiet --no-reload "$guard"
    # Last, since this says that the rest is there.
    echo "$instance" | keep "$etc/instance"
}

# --- releases --------------------------------------------------------------------------------------------------------

install_release() { # id digest size record; the program on standard input, as gzip has it
    if [ -f "$releases/$1/release.json" ] && [ "$(digest_of "$releases/$1/chat-server")" = "$2" ]; then return 0; fi
    incoming=$releases/.incoming
    rm -rf "$incoming"
    free=$(free_bytes)
    [ "$free" -ge $(($3 * 2)) ] || refuse room "$(($3 * 2))" "$free"
    mkdir -p "$incoming"
    trap 'rm -rf "$incoming"' EXIT
    gzip -d >"$incoming/chat-server"
    [ "$(digest_of "$incoming/chat-server")" = "$2" ] || refuse digest
    chmod 755 "$incoming/chat-server"
    printf '%s' "$4" | base64 -d >"$incoming/release.json"
    sync "$incoming/chat-server" "$incoming/release.json"
    rm -rf "${releases:?}/$1"
    mv -T "$incoming" "$releases/$1"
    sync "$releases"
}

remove_release() { # id
    # Without its record it is none any more, however far the rest gets.
    rm -f "$releases/$1/release.json"
    rm -rf "${releases:?}/$1"
}

# Removes a release that was installed in vain.
discard() { # id
    if [ "$(current)" != "$1" ] && [ "$(deployed "$1")" = 0 ]; then remove_release "$1"; fi
}

remove_never_deployed() { # but this one
    for directory in "$releases"/*/; do
        id=${directory%/} id=${id##*/}
        if [ -d "$directory" ] && [ "$id" != "$1" ] && [ "$(deployed "$id")" = 0 ]; then remove_release "$id"; fi
    done
}

check_config() { # id; the configuration on standard input
    config=$(mktemp /run/chat-check.XXXXXX)
    trap 'rm -f "$config"' EXIT
    cat >"$config"
    chown chat "$config"
    if as_chat "$releases/$1/chat-server" check-config --config "$config" >/dev/null; then code=0; else code=$?; fi
    echo "checked $code"
}

# --- putting a release to work ---------------------------------------------------------------------------------------

is_confirmed() { [ "$(cat "$journal/decision" 2>/dev/null)" = confirmed ]; }

is_going_back() { grep -qs '^back' "$journal/decision"; }

# Puts a decision into a file of its own. On a disk that is full, which may be why it is made, it is one of the two that
# `activate` wrote beforehand.
draft_decision() { # words
    { printf '%s\n' "$*" >"$journal/decision.$$" && sync "$journal/decision.$$"; } 2>/dev/null ||
        ln -fT "$journal/spare-$1" "$journal/decision.$$"
}

# Decides, unless that is done: a hard link is made or not, and never half.
decide() { # words
    decided=1
    if draft_decision "$@" && ln -T "$journal/decision.$$" "$journal/decision" 2>/dev/null; then decided=0; fi
    rm -f "$journal/decision.$$"
    return "$decided"
}

forget_journal() {
    rm -rf "$journal.old"
    if [ -d "$journal" ]; then mv -T "$journal" "$journal.old"; fi
    rm -rf "$journal.old"
}

activate() { # id, seconds to wait for a confirmation; the configuration on standard input
    [ -x "$releases/$1/chat-server" ] || refuse no-release "$1"
    # Whatever the guard is about, this comes in its place.
    systemctl stop "$guard"
    if is_confirmed; then forget_journal; fi
    if [ -d "$journal" ]; then
        # What an interrupted run tried was never confirmed, so its former stays the former.
        rm -f "$journal/decision" "$journal/go" "$journal/begun" "$journal/started" "$journal/invocation"
        draft=$journal
    else
        draft=$top/.activation
        rm -rf "$draft"
        mkdir "$draft"
        if [ -L "$top/current" ] && [ -f "$etc/server.toml" ]; then
            current >"$draft/former"
            cp "$etc/server.toml" "$draft/former.toml"
        fi
    fi
    cat >"$draft/tried.toml"
    echo "$1" >"$draft/tried"
    deployed "$1" >"$draft/deployed"
    echo "$2" >"$draft/patience"
    echo confirmed >"$draft/spare-confirmed"
    echo 'back its disk is full' >"$draft/spare-back"
    cp /proc/sys/kernel/random/boot_id "$draft/go"
    sync "$draft"/* "$draft"
    if [ "$draft" != "$journal" ]; then mv -T "$draft" "$journal"; fi
    sync "$top"
    rm -rf "$setback"
    if ! has_data; then echo "makes-data yes"; fi
    systemctl start --no-block "$guard"
    # Most servers are up by then, or down. Those that are not are waited for from outside.
    turns=0
    while [ -d "$journal" ] && [ ! -e "$journal/started" ] && [ "$turns" -lt 150 ]; do
        sleep 0.02
        turns=$((turns + 1))
    done
    proof
}

confirm() { # id, digest of its configuration, when it was deployed in seconds since 1970, or -
    if [ -d "$journal" ]; then
        at_work=$(cat "$journal/tried") config=$journal/tried.toml
    else
        [ ! -d "$setback" ] || refuse went-back "$(cat "$setback/release")" "$(encoded <"$setback/why")"
        at_work=$(current) config=$etc/server.toml
    fi
    # Who goes back while the disk is full cannot write down that it did.
    if [ "$at_work $(digest_of "$config")" != "$1 $2" ]; then
        refuse went-back "$1" "$(echo 'nothing tells why, perhaps for want of room' | encoded)"
    fi
    # Marked first: who goes back takes the mark off again.
    mark "$1" "$3"
    [ -d "$journal" ] || return 0
    if ! decide confirmed && ! is_confirmed; then
        is_going_back || { echo 'the confirmation could not be written down' >&2 && exit 1; }
        refuse went-back "$(cat "$journal/tried")" "$(sed 's/^back //' "$journal/decision" | encoded)"
    fi
    sync "$journal"
    # It runs already, unless it was ended.
    systemctl start --no-block "$guard"
}

# Notes when a release was deployed; later than any other, since the order says which one to go back to.
mark() { # id when
    if [ "$2" = - ] || [ -z "$1" ]; then return 0; fi
    at=$2
    for other in "$releases"/*/deployed; do
        [ -f "$other" ] || continue
        moment=$(cat "$other")
        if [ "$moment" -ge "$at" ]; then at=$((moment + 1)); fi
    done
    echo "$at" | keep "$releases/$1/deployed"
}

revert() { # whether data goes if there is nothing to return to
    systemctl stop "$guard"
    if [ -d "$journal" ]; then
        if ! is_going_back; then
            draft_decision back asked
            mv -T "$journal/decision.$$" "$journal/decision"
        fi
        systemctl start --no-block "$guard"
        turns=0
        while [ -d "$journal" ]; do
            [ "$turns" -lt 1200 ] || refuse stuck
            sleep 0.05
            turns=$((turns + 1))
        done
    else
        remove_never_deployed "$(current)"
    fi
    if [ -z "$(current)" ] && { [ "$1" = yes ] || ! has_data; }; then
        remove
    elif is_enabled; then
        echo "runs $(current)"
    fi
    echo end
}

# Makes a release and a configuration the ones that start.
switch() { # id configuration
    wanted=$(sed "s/@listen@/$(listen_at "$2")/" "$top/$socket")
    if [ "$wanted" != "$(cat "$units/$socket" 2>/dev/null)" ]; then
        stop_units
        printf '%s\n' "$wanted" | keep "$units/$socket"
        reload_units "$socket"
    fi
    put "$2" "$etc/server.toml" 640 chat
    rm -f "$top/current.new"
    ln -s "releases/$1" "$top/current.new"
    mv -T "$top/current.new" "$top/current"
    sync "$top"
}

# Where a configuration says to listen.
listen_at() { # configuration
    host=$(sed -n 's/^host *= *"\([0-9a-fA-F.:]*\)" *$/\1/p' "$1" | head -n 1)
    port=$(sed -n 's/^port *= *\([0-9]*\) *$/\1/p' "$1" | head -n 1)
    case $host in *:*) host="[$host]" ;; esac
    printf '%s:%s' "$host" "$port"
}

# Starts the server, and waits until it says that it serves. The socket stays as it is, so that connections wait.
start_server() { # seconds
    # A server that crashes again and again may have taken its socket along.
    systemctl reset-failed "$service" "$socket" 2>/dev/null || :
    is_enabled || systemctl enable --quiet --no-reload "$socket" "$service"
    systemctl start "$socket" && timeout "$1" systemctl restart "$service"
}

stop_server() {
    stop_units
    if [ -f "$units/$socket" ]; then systemctl disable --quiet --no-reload "$socket" "$service"; fi
    systemctl reset-failed "$service" "$socket" 2>/dev/null || :
    pid=$(systemctl show -p MainPID --value "$service")
    [ "${pid:-0}" = 0 ] || refuse running "$pid"
}

# The socket as well, which would start the server again. A unit that somebody damaged cannot be stopped, nor can it run.
stop_units() {
    if [ -f "$units/$socket" ]; then systemctl stop "$socket" "$service" || :; fi
}

stop() {
    systemctl stop "$guard" 2>/dev/null || :
    if is_confirmed; then forget_journal; fi
    rm -f "$journal/go" "$journal/begun"
    stop_server
}

# --- the guard -------------------------------------------------------------------------------------------------------

guard() {
    if [ ! -d "$journal" ]; then
        :
    elif is_confirmed; then
        # It was cut off while it watched; whoever confirmed saw the release healthy.
        forget_journal
    elif is_going_back; then
        go_back
    elif is_of_this_boot "$journal/go"; then
        mv -T "$journal/go" "$journal/begun"
        try
    elif is_of_this_boot "$journal/begun"; then
        # Nobody stopped the guard that was at it, so that failed, as on a full disk.
        # Unless somebody confirms it at this moment.
        if decide back 'the guard over it failed: journalctl -u chat-guard tells why' || ! is_confirmed; then
            go_back
        else
            forget_journal
        fi
    elif is_enabled; then
        decide back 'it was cut off, as by a restart of the machine, before anybody had confirmed it' || :
        go_back
    fi
    # Otherwise somebody stopped the server meanwhile, and it stays so.
    revive
}

is_of_this_boot() { cmp -s "$1" /proc/sys/kernel/random/boot_id; }

try() {
    patience=$(cat "$journal/patience") deadline=$(($(seconds) + patience))
    switch "$(cat "$journal/tried")" "$journal/tried.toml"
    if ! start_server "$patience"; then
        systemctl show -p InvocationID --value "$service" >"$journal/invocation"
        decide back "it did not start ($(how_it_ended))" || :
        go_back
        return
    fi
    systemctl show -p InvocationID --value "$service" >"$journal/invocation"
    run=$(incarnation)
    : >"$journal/started"
    while ! is_confirmed; do
        if [ "$(incarnation)" != "$run" ]; then
            leave_if_stopping
            why="it ended ($(how_it_ended))"
        elif [ "$(seconds)" -ge "$deadline" ]; then why="nobody confirmed it within $patience s"
        else
            sleep 0.2
            continue
        fi
        if decide back "$why" || is_going_back; then
            go_back
            return
        fi
    done
    # Some servers answer once and die of what they find out next.
    turns=0
    while [ "$turns" -lt 20 ]; do
        sleep 0.25
        if [ "$(incarnation)" != "$run" ]; then
            leave_if_stopping
            draft_decision back "it ended soon after it was confirmed ($(how_it_ended))"
            mv -T "$journal/decision.$$" "$journal/decision"
            go_back
            return
        fi
        turns=$((turns + 1))
    done
    forget_journal
}

# A server that ends because the machine is being shut down says nothing about its release.
leave_if_stopping() {
    if [ "$(systemctl is-system-running 2>/dev/null)" = stopping ]; then exit 0; fi
}

# Changes when the server ends, also where it is running again by the time somebody looks.
incarnation() { systemctl show -p MainPID,NRestarts,InvocationID "$service"; }

how_it_ended() {
    shown=$(systemctl show -p Result,ExecMainCode,ExecMainStatus "$service")
    result=$(printf '%s\n' "$shown" | sed -n 's/^Result=//p')
    code=$(printf '%s\n' "$shown" | sed -n 's/^ExecMainCode=//p')
    status=$(printf '%s\n' "$shown" | sed -n 's/^ExecMainStatus=//p')
    case $code in
    1) echo "exit status $status" ;;
    2 | 3) echo "signal $status" ;;
    *) echo "$result" ;;
    esac
}

# Writes down, all of it or in vain, what `look` will tell of the way back.
note_setback() {
    rm -rf "$setback.new"
    mkdir "$setback.new" || return 1
    journalctl --sync 2>/dev/null || :
    log_of "$(cat "$journal/invocation" 2>/dev/null || :)" 40 2>/dev/null | tail -c 16384 >"$setback.new/log" || :
    echo "$tried" >"$setback.new/release" && date +%s >"$setback.new/at" && echo "$why" >"$setback.new/why"
}

go_back() {
    tried=$(cat "$journal/tried") why=$(sed 's/^back //' "$journal/decision")
    former=$(cat "$journal/former" 2>/dev/null || :)
    # A full disk is one of the reasons to be here: nothing is written before there is room, which the former needs too.
    if [ -d "$releases/$tried" ]; then
        rm -f "$releases/$tried/deployed"
        ln -T "$journal/deployed" "$releases/$tried/deployed"
    fi
    remove_never_deployed "$former"
    if [ "$why" != asked ] && ! note_setback; then rm -rf "$setback.new"; fi
    if [ -z "$former" ]; then
        stop_server
        rm -f "$top/current" "$etc/server.toml" "$units/$socket"
    elif [ "$former" = "$tried" ] && cmp -s "$journal/former.toml" "$journal/tried.toml"; then
        # There is nothing better to return to than what has just failed.
        rm -rf "$setback.new"
        if [ "$why" = asked ]; then stop_server; fi
    else
        switch "$former" "$journal/former.toml"
        start_server 60 || :
    fi
    if [ -d "$setback.new" ]; then
        rm -rf "$setback"
        mv -T "$setback.new" "$setback"
    fi
    forget_journal
}

# Brings a socket back that failed: somebody else had the port, or a server that crashed at once took it along.
revive() {
    while is_enabled && systemctl is-failed --quiet "$socket"; do
        sleep 10
        systemctl reset-failed "$service" "$socket" 2>/dev/null || :
        systemctl start "$socket" "$service" || :
    done
}

# --- data, and the end -----------------------------------------------------------------------------------------------

restore() { # a backup on standard input
    if has_data; then refuse has-data; fi
    draft=/var/lib/.chat-restore
    rm -rf "$draft"
    (umask 077 && mkdir "$draft")
    trap 'rm -rf "$draft"' EXIT
    tar -xf - -C "$draft" --strip-components=1 --no-same-owner --no-same-permissions
    [ -z "$(find "$draft" ! -type f ! -type d)" ] || refuse no-backup
    chmod -R u=rwX,go= "$draft"
    chown -R chat:chat "$draft"
    sync -f "$draft"
    if [ -d "$data" ]; then rmdir "$data"; fi
    mv -T "$draft" "$data"
    sync /var/lib
}

remove() {
    is_ours || return 0
    stop
    if [ -f "$units/$guard" ]; then systemctl disable --quiet --no-reload "$guard"; fi
    rm -f "$units/$service" "$units/$socket" "$units/$guard"
    systemctl daemon-reload
    rm -rf "$data" /var/lib/.chat-restore "$top" "$etc"
    # Last, since the files are its own.
    if our_user; then userdel chat; fi
}

verb=$1
shift
case $verb in
state | proof | status | holder | log | prepare | discard | activate | confirm | revert | stop | restore | remove | guard) "$verb" "$@" ;;
install) install_release "$@" ;;
remove-release) remove_release "$@" ;;
check-config) check_config "$@" ;;
*) refuse verb "$verb" ;;
esac
