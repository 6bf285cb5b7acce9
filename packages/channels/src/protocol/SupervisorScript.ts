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

// Parameters: marker and nonce, flags, directory, NAME=value..., "--", command...
// Flags: i the user's stdin, o and e without stdout and stderr, s preamble on stdin, l live on when the session ends.
// Names begin with ek_ because an assignment to a name that the container exports would reach the command.
//
// Without the user's stdin, fd 3 is the session's: the watcher reads it to its end, which comes when the client closes
// or dies, and then ends the process group. It tells the shell first (HUP), so that the shell leaves it alive to see to
// what does not heed SIGTERM. `(exec "$@")` runs a program, never a builtin of the shell.
const script = `ek_n=$1 ek_f=$2 ek_d=$3 ek_h= ek_r=
shift 3
echo "$ek_n@$$"
ek_has() { case $ek_f in *$1*) return 0 ;; esac; return 1; }
ek_drain() { cat >/dev/null 2>&1 || while read -r ek_l; do :; done; }
ek_end() {
  echo "$ek_n:$1"
  echo "$ek_n:$1" >&2
  if ek_has i; then ek_drain; else ek_drain <&3; fi
  exit "$2"
}
if ek_has s; then
  ek_s=
  while IFS= read -r ek_l && [ "$ek_l" != "$ek_n" ]; do
    ek_s="$ek_s$ek_l
"
  done
  eval "$ek_s"
fi
while [ "$1" != -- ]; do export "$1"; shift; done
shift
ek_has i || exec 3<&0 </dev/null
[ -z "$ek_d" ] || cd "$ek_d" 2>/dev/null || ek_end d 126
case $1 in
*/*) if [ -d "$1" ]; then ek_r=x; elif [ -x "$1" ]; then :; elif [ -e "$1" ]; then ek_r=x; else ek_r=n; fi ;;
*)
  if [ -n "$PATH" ]; then
    ek_r=n
    IFS=:
    set -f
    for ek_p in $PATH; do
      ek_p=\${ek_p:-.}/$1
      [ -f "$ek_p" ] || continue
      if [ -x "$ek_p" ]; then ek_r=; break; fi
      ek_r=x
    done
    set +f
    unset IFS
  fi
  ;;
esac
case $ek_r in
n) ek_end n 127 ;;
x) ek_end x 126 ;;
esac
trap : INT QUIT TERM
trap ek_h=1 HUP
ek_w=
if ek_has i || ek_has l; then :; else
  (
    trap '' HUP INT QUIT TERM
    while read -r ek_l; do :; done
    kill -HUP $$
    kill -TERM -$$ || kill -TERM $$
    sleep ${graceSeconds}
    kill -KILL -$$
  ) <&3 3<&- >/dev/null 2>&1 &
  ek_w=$!
fi
(
  exec 3<&-
  ! ek_has o || exec >/dev/null
  ! ek_has e || exec 2>/dev/null
  exec "$@"
)
ek_c=$?
[ -z "$ek_w" ] || [ -n "$ek_h" ] || { kill -KILL "$ek_w"; wait "$ek_w"; } 2>/dev/null
ek_end "$ek_c" "$ek_c"
`

/** The argument list to run in place of the command. */
export const argv = (supervised: Supervised): ReadonlyArray<string> => [
  "sh",
  "-c",
  script,
  "effect-k8s",
  `${String.fromCharCode(marker)}${supervised.nonce}`,
  `-${supervised.stdin ? "i" : ""}${supervised.stdout ? "" : "o"}${supervised.stderr ? "" : "e"}${
    supervised.preamble === true ? "s" : ""
  }${supervised.endWithSession === false ? "l" : ""}`,
  supervised.cwd ?? "",
  ...(supervised.env ?? []).map(([name, value]) => `${name}=${value}`),
  "--",
  ...supervised.command
]

/** Whether a text can name a variable: the shell would not start with another. */
export const isVariableName = (name: string): boolean => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)

const quote = (value: string): string => `'${value.replaceAll("'", "'\\''")}'`

/**
 * What to send first on stdin when `preamble` is set: variables that must not be in the argument list, because audit
 * logs record it. Names must be variable names.
 */
export const preamble = (
  nonce: string,
  env: ReadonlyArray<readonly [name: string, value: string]>
): string =>
  [
    ...env.map(([name, value]) => `export ${name}=${quote(value)}`),
    `${String.fromCharCode(marker)}${nonce}`,
    ""
  ].join("\n")
