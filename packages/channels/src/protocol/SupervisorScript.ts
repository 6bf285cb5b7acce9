/**
 * The supervisor: a few lines of POSIX sh that run a command so that its outcome can be trusted.
 *
 * Real servers lose output and report success, and end stdin when a process gives up an output. The supervisor keeps
 * both outputs open itself, says at the end of each how the command ended (the trailer, see `SupervisorOutput`), and waits for
 * the client to end stdin, which is the client's word that it has read everything. See design 4, Supervision.
 */

/** What is run, and how. */
export interface Supervised {
  /** Marks this session's records: 32 hexadecimal digits, fresh and unguessable for each session. */
  readonly nonce: string
  readonly command: ReadonlyArray<string>
  /** The user's stdin is the command's. Without it the command reads nothing, and ends with the session. */
  readonly stdin: boolean
  /** `false` sends the output to `/dev/null` in the container. The session's own output stays open for the trailer. */
  readonly stdout: boolean
  readonly stderr: boolean
  readonly cwd?: string | undefined
  /** Variables that may be seen in audit logs. */
  readonly env?: ReadonlyArray<readonly [name: string, value: string]> | undefined
  /** Whether secret variables come first on stdin, see `preamble`. */
  readonly preamble?: boolean | undefined
  /** `false`: the end of the session does not end a command without stdin. */
  readonly endWithSession?: boolean | undefined
}

/** The byte that begins a record of the supervisor: ASCII record separator. */
export const marker = 0x1e

/** The seconds that a command has between SIGTERM and SIGKILL when its session ends. */
export const graceSeconds = 2

/** Lets a script of ours find `sleep` where the command's PATH, or the image's, does not lead to it. */
export const ownPath = "PATH=/bin:/usr/bin:$PATH"

// The parts of the script. What a command does not need is left out, because audit logs and process lists show all of
// it. Names begin with ek_: an assignment to a name that the container exports would reach the command.

/** Parameters: marker and nonce, then directory, NAME=value..., "--" as far as they are used, and the command. */
const begin = `ek_n=$1 ek_r= ek_h= ek_w=
shift
echo "$ek_n@$$"`

// A command may leave its streams non-blocking (a killed Node does), and the flag is on what it shares with the shell. A
// record that finds the pipe full is then refused whole, because a pipe never takes a part of so few bytes: it is written
// again through the shell's own opening of the pipe, which waits. fd 5 opens it both ways meanwhile, because the open of a
// FIFO waits for the other end, which may be gone.
const say = `ek_say() {
echo "$ek_n:$1" || { ( : 5<>/proc/self/fd/1 ) && exec 5<>/proc/self/fd/1 >>/proc/self/fd/1 5>&- && echo "$ek_n:$1"; }
}`

const ownStdin = `{ ( : 5<>/proc/self/fd/0 ) && exec 5<>/proc/self/fd/0 </proc/self/fd/0 5>&-; cat; } || `

// Reads what the client still sends; that it ends is the client's acknowledgement. Without one of the records there is
// nothing to acknowledge, and each side would wait for the other: the server's word is all that the client gets then.
const finish = (stdin: boolean): string =>
  `${say}
ek_end() {
{ ek_say "$1" && ek_say "$1" >&4; } 4>&2 2>/dev/null || exit "$2"
{ cat || ${stdin ? ownStdin : ""}while read -r ek_l; do :; done; } >/dev/null 2>&1${stdin ? "" : " <&3"}
exit "$2"
}`

// What sets the variables is gathered in ek_s, to be tried by a child first: a shell dies of an assignment to a variable
// that it keeps for itself (as sh, bash: UID), or takes no notice (GROUPS). Then nothing is started, and that is told.
const exportVariables = `ek_s='while [ "$1" != -- ]; do
export "$1" && eval "[ \\"x\\$\${1%%=*}\\" = \\"x\\\${1#*=}\\" ]" || exit
shift
done
'`

// The end of stdin in place of the record is the end of the client: no command runs without its variables.
const readPreamble = `while IFS= read -r ek_l && [ "$ek_l" != "$ek_n" ]; do ek_s="$ek_s$ek_l
"; done
[ "$ek_l" = "$ek_n" ] || exit 1`

const setVariables = `( eval "$ek_s" ) 2>/dev/null || ek_end v 126
eval "$ek_s"`

const enterDirectory = `cd "$1" 2>/dev/null || ek_end d 126
shift`

// A builtin of the shell is no program: so PATH is searched here, not by `command -v`. Not by IFS either: that may be one
// of the command's variables.
const findProgram = `case $1 in
*/*) [ -e "$1" ] || ek_r=n
{ [ -x "$1" ] && [ ! -d "$1" ]; } || ek_r=\${ek_r:-x} ;;
*) if [ -n "$PATH" ]; then
ek_r=n ek_p=$PATH:
while [ -n "$ek_p" ]; do
ek_f=\${ek_p%%:*}
ek_f=\${ek_f:-.}/$1
ek_p=\${ek_p#*:}
[ -f "$ek_f" ] || continue
ek_r=x
[ ! -x "$ek_f" ] || { ek_r=; break; }
done
fi ;;
esac
case $ek_r in
n) ek_end n 127 ;;
x) ek_end x 126 ;;
esac`

// fd 3 is the session's stdin. The watcher reads it to its end, which comes when the client closes or dies, and then ends
// the process group. It tells the shell first (HUP), so that the shell leaves it alive to see to what does not heed TERM:
// the command alone at first, which is the shell's other child, so that the shell can tell its end to a client that is
// still there. What must not end the watcher is ignored before it is there, because its first words may be late. That the
// first child is the watcher itself shows that /proc speaks of our own processes.
const watchSession = `trap ek_h=1 HUP
trap '' INT QUIT TERM
(
trap '' HUP
${ownPath}
while read -r ek_l; do :; done
kill -HUP "$$"
kill -TERM "-$$" || kill -TERM "$$"
sleep ${graceSeconds}
ek_l= ek_c=
IFS=' ' read -r ek_p ek_l </proc/self/stat
IFS=' ' read -r ek_l ek_c ek_s </proc/$$/task/$$/children
[ -z "$ek_c" ] || [ "$ek_l" != "$ek_p" ] || { kill -KILL "$ek_c"; sleep 1; }
kill -KILL "-$$"
) <&3 3<&- >/dev/null 2>&1 &
ek_w=$!`

const hasVariables = ({ env }: Supervised): boolean => env !== undefined && env.length > 0

const watches = (supervised: Supervised): boolean => !supervised.stdin && supervised.endWithSession !== false

// While the command runs, the shell's own stderr is elsewhere: shells remark on a child that a signal has killed.
// `(exec ...)` runs a program, never a builtin.
const runCommand = (supervised: Supervised): string =>
  `trap : ${watches(supervised) ? "" : "HUP "}INT QUIT TERM
exec 4>&2 2>/dev/null
(
exec 2>&4 ${supervised.stdin ? "" : "3<&- "}4>&-${supervised.stdout ? "" : " >/dev/null"}${
    supervised.stderr ? "" : " 2>/dev/null"
  }
exec "$@"
)
ek_c=$?
exec 2>&4 4>&-
[ -z "$ek_w" ] || [ -n "$ek_h" ] || { kill -KILL "$ek_w"; wait "$ek_w"; } 2>/dev/null
ek_end "$ek_c" "$ek_c"`

const script = (supervised: Supervised): string =>
  [
    begin,
    finish(supervised.stdin),
    ...(hasVariables(supervised) ? [exportVariables] : supervised.preamble === true ? ["ek_s="] : []),
    ...(supervised.preamble === true ? [readPreamble] : []),
    ...(supervised.stdin ? [] : ["exec 3<&0 </dev/null"]),
    ...(hasVariables(supervised) || supervised.preamble === true ? [setVariables] : []),
    ...(hasVariables(supervised) ? ["shift"] : []),
    ...(supervised.cwd === undefined ? [] : [enterDirectory]),
    findProgram,
    ...(watches(supervised) ? [watchSession] : []),
    runCommand(supervised)
  ].join("\n")

/** The argument list to run in place of the command. */
export const argv = (supervised: Supervised): ReadonlyArray<string> => [
  "sh",
  "-c",
  script(supervised),
  "effect-k8s",
  `${String.fromCharCode(marker)}${supervised.nonce}`,
  ...(hasVariables(supervised) ? [...(supervised.env ?? []).map(([name, value]) => `${name}=${value}`), "--"] : []),
  // `cd` looks for a relative directory in CDPATH, and takes `-` for another one.
  ...(supervised.cwd === undefined ? [] : [supervised.cwd.startsWith("/") ? supervised.cwd : `./${supervised.cwd}`]),
  ...supervised.command
]

/** Why a variable of this name cannot be set, as a sentence; `undefined` if it can. */
export const nameProblem = (name: string): string | undefined =>
  !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)
    ? `"${name}" cannot be the name of a variable`
    : name.startsWith("ek_")
    ? `the variable ${name} cannot be set: names that begin with ek_ are those of the supervisor's own variables, which run in the same shell`
    : undefined

const kept = new Set(
  ("_ UID EUID GID EGID PPID GROUPS SHELLOPTS BASHOPTS BASH_ALIASES BASH_ARGC BASH_ARGV BASH_CMDS BASH_COMMAND BASH_LINENO " +
    "BASH_SOURCE BASH_SUBSHELL BASH_VERSINFO BASHPID DIRSTACK EPOCHREALTIME EPOCHSECONDS FUNCNAME HISTCMD LINENO RANDOM " +
    "SECONDS SRANDOM").split(" ")
)

/** Those of the names that shells are known to keep for themselves. */
export const keptByShells = (names: ReadonlyArray<string>): ReadonlyArray<string> =>
  names.filter((name) => kept.has(name))

const quote = (value: string): string => `'${value.replaceAll("'", "'\\''")}'`

/**
 * What to send first on stdin when `preamble` is set: variables that must not be in the argument list, because audit
 * logs record it. Names must have no `nameProblem`.
 */
export const preamble = (
  nonce: string,
  env: ReadonlyArray<readonly [name: string, value: string]>
): string =>
  [
    ...env.map(([name, value]) => `ek_v=${quote(value)}\nexport ${name}="$ek_v" && [ "x$${name}" = "x$ek_v" ] || exit`),
    `${String.fromCharCode(marker)}${nonce}`,
    ""
  ].join("\n")
