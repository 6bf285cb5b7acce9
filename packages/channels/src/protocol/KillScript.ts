/**
 * Signals for a supervised command: a few lines of POSIX sh that a second exec runs in the command's container.
 *
 * Each exec is a process group of its own, led by the supervisor. A number alone may belong to somebody else by now, so
 * the script looks at the command line of the group's leader first: it must have the session's nonce, which no other
 * process has. That says more than a start time, and the supervisor need not report one.
 *
 * The supervisor lives through every signal, and with it the word on how the command ended: it heeds INT, QUIT and TERM
 * by going on, so those go to the group at once; any other signal goes to each process that is not the supervisor's own.
 */
import { graceSeconds, marker, ownPath } from "./SupervisorScript.ts"

/** Whom to signal. */
export interface Group {
  /** What the supervisor has reported. */
  readonly processGroup: number
  /** The nonce of the command's session. */
  readonly nonce: string
}

/** The exit codes of the script. */
export const Code = {
  Sent: 0,
  /** The group is not there any more, or the number is another's: nothing was sent. */
  Gone: 3,
  /** The shell does not know the signal, or may not send it. */
  Refused: 4,
  /** There is no `/proc` to look at: nothing was sent. */
  NoProc: 5
} as const

const octal = marker.toString(8).padStart(3, "0")

// `ek_is`: whether a process is the supervisor or its watcher. `read` drops the zeros between the words. The script's own
// command line has the nonce without the marker, so it is never taken for the supervisor. A process may end while it is read,
// which is an error after which bash leaves the line that it has read before: that would be read for ever.
const begin = `exec 2>/dev/null
ek_g=$1 ek_m=$(printf '\\${octal}%s' "$2") ek_s=$3 ek_e=0
[ -r "/proc/$$/cmdline" ] || exit ${Code.NoProc}
ek_is() {
while ek_l= && IFS= read -r ek_l || [ -n "$ek_l" ]; do
case $ek_l in *"$ek_m"*) return 0 ;; esac
done <"/proc/$1/cmdline"
return 1
}
ek_is "$ek_g" || exit ${Code.Gone}`

// `ek_each` signals all of the group but the supervisor's own; `ek_f` says whether there were any. The name of a process,
// in parentheses, may hold anything, line ends too.
const each = `ek_each() {
ek_f=
for ek_d in /proc/[0-9]*; do
ek_t=
while ek_l= && IFS= read -r ek_l || [ -n "$ek_l" ]; do ek_t="$ek_t $ek_l"; done <"$ek_d/stat"
set -- \${ek_t##*)}
[ "$3" = "$ek_g" ] && [ "$1" != Z ] && [ "$1" != X ] || continue
! ek_is "\${ek_d#/proc/}" || continue
ek_f=1
kill "-$ek_s" "\${ek_d#/proc/}" || [ ! -d "$ek_d" ] || ek_e=${Code.Refused}
done
}`

// Each tenth of a second counts one. No `sleep` is no wait.
const limit = graceSeconds * 10
const pause = `${ownPath}
ek_pause() {
sleep 0.1 || { sleep 1; ek_i=$((ek_i + 9)); } || ek_i=${limit}
ek_i=$((ek_i + 1))
}`

// What the supervisor has reported may not have begun yet: a signal that comes before would be lost, or end the supervisor.
// It has begun when there is a child that is not the supervisor's own, nor one that has ended: that has no command line.
// Where the command has ended there may be none to wait for, and where the kernel does not tell children nobody knows.
const begun = `ek_begun() {
IFS= read -r ek_c <"$ek_w"
for ek_p in $ek_c; do
ek_l=
IFS= read -r ek_l <"/proc/$ek_p/cmdline"
[ -z "$ek_l" ] || ek_is "$ek_p" || return 0
done
return 1
}
ek_w=/proc/$ek_g/task/$ek_g/children ek_i=0
while [ -r "$ek_w" ] && ! ek_begun && [ "$ek_i" -lt ${limit} ]; do ek_pause; done
ek_is "$ek_g" || exit ${Code.Gone}`

// One that is killed may have started another meanwhile.
const send = `case $ek_s in
INT | QUIT | TERM) kill "-$ek_s" "-$ek_g" || ek_e=${Code.Refused} ;;
KILL)
ek_i=0 ek_f=1
while [ -n "$ek_f" ] && [ "$ek_i" -lt 20 ]; do ek_each; ek_i=$((ek_i + 1)); done ;;
*) ek_each ;;
esac
exit "$ek_e"`

// The line says that the signal is sent: whoever reads it may go. What the command does not heed ends it, and then the
// supervisor too, which could not leave while nobody takes its output.
const end = `kill -TERM "-$ek_g"
echo
ek_i=0
while ek_is "$ek_g" && [ "$ek_i" -lt ${limit} ]; do ek_pause; done
! ek_is "$ek_g" || kill -KILL "-$ek_g"`

const argv = (script: ReadonlyArray<string>, { nonce, processGroup }: Group, signal: string): ReadonlyArray<string> => [
  "sh",
  "-c",
  script.join("\n"),
  "effect-k8s-kill",
  String(processGroup),
  nonce,
  signal
]

/** Sends a signal, by its name with or without `SIG`, when the command has begun; ends with one of the codes. */
export const signal = (group: Group, name: string): ReadonlyArray<string> =>
  argv([begin, each, pause, begun, send], group, name.replace(/^SIG/, ""))

/**
 * Ends the command and its supervisor: SIGTERM, a line on stdout, and SIGKILL after {@link graceSeconds} seconds unless
 * they have gone. It goes on when its reader leaves.
 */
export const terminate = (group: Group): ReadonlyArray<string> => argv([begin, pause, end], group, "TERM")
