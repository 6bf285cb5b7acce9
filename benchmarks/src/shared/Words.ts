/**
 * What pods are asked to do, in the words of each: the benchmark server has a few of its own, others run programs that
 * busybox and Debian have.
 */
import * as Pattern from "./Pattern.ts"
import type { Ports, Work } from "./Work.ts"

/** The commands that the benchmark server's pod knows. The first word names them. */
export const Command = {
  /** `out BYTES MESSAGE_BYTES`: writes the pattern, in whole blocks. */
  Out: "out",
  /** `in RATE HASH`: reads stdin to its end, so many bytes a second (0: all it can), and writes how many there were. */
  In: "in",
  /** Writes what it reads, until the end of stdin. */
  Echo: "echo",
  Noop: "true"
} as const

/** Where a real pod has the pattern. */
export const patternFile = "/tmp/pattern"

const inputFile = "/tmp/input"

/** What programs read and write at once, in bytes: by so many the lab is told how much. */
export const stepBytes = 64 * 1024

const steps = (bytes: number): number => Math.ceil(bytes / stepBytes)

/** What each of several commands at once is to write: its part, in whole blocks. */
export const partOf = ({ bytes, count }: Work): number =>
  Math.max(1, Math.round(bytes / count / Pattern.blockBytes)) * Pattern.blockBytes

/** Writes the pattern. */
export const out = ({ bytes, messageBytes, real }: Work): Array<string> =>
  real
    ? ["dd", `if=${patternFile}`, `bs=${stepBytes}`, `count=${steps(bytes)}`]
    : [Command.Out, String(bytes), String(messageBytes)]

/**
 * Reads stdin, and writes how many bytes there were, or their hash where that is asked for: `answerOf` reads it. A real
 * one goes through a shell that keeps both outputs: servers cut the stdin of what closes one of them. To count what goes
 * through a pipe takes busybox longer than any client takes to send it; the size of a file is known.
 */
export const into = ({ check, rate, real }: Work): Array<string> =>
  !real
    ? [Command.In, String(rate), check ? "hash" : ""]
    : ["sh", "-c", check ? "sha256sum; :" : `cat > ${inputFile}; stat -c %s ${inputFile}; rm ${inputFile}`]

/** Writes what it reads. */
export const echo = ({ real }: Work): Array<string> => [real ? "cat" : Command.Echo]

/** Does nothing. */
export const noop: ReadonlyArray<string> = [Command.Noop]

/** The answer of `into`: how many bytes it has read, and their hash where that was asked for. */
export const answerOf = (text: string, { bytes, check, real }: Work): {
  readonly bytes: number
  readonly sha256?: string | undefined
} => {
  // Only all of the bytes have the hash, so it tells the number too.
  return real && check ? { bytes, sha256: text.slice(0, 64) } : { bytes: Number(text) }
}

/** The first line of a connection to the lab: it is to send the pattern, whole blocks of it where it is long, and end. */
export const pour = (bytes: number): string => `pour ${steps(bytes)}\n`

/** It is to read so many bytes, and to answer with their number, or their hash, and end. */
export const swallow = (bytes: number, check: boolean): string => `${check ? "hash" : "count"} ${steps(bytes)}\n`

/** The answer to `swallow`. */
export const swallowed = (text: string, check: boolean): {
  readonly bytes: number
  readonly sha256?: string | undefined
} => check ? { bytes: 0, sha256: text.slice(0, 64) } : { bytes: Number(text) * stepBytes }

/** What listens in a real pod, for `sh -c`. */
export const serve = ({ lab: labPort, ping }: Ports): string => {
  const lab = `read -r word steps
case "$word" in
pour) exec dd if=${patternFile} bs=${stepBytes} count="$steps" 2>/dev/null ;;
count) dd of=/dev/null bs=${stepBytes} count="$steps" iflag=fullblock 2>/dev/null; echo "$steps" ;;
hash) dd bs=${stepBytes} count="$steps" iflag=fullblock 2>/dev/null | sha256sum ;;
esac`
  return `nc -ll -p ${ping} -e head -c 1 & exec nc -ll -p ${labPort} -e sh -c '${lab.replaceAll("'", `'"'"'`)}'`
}

/** Makes the pattern file of a real pod from one block on stdin. */
export const writePattern = (bytes: number): Array<string> => [
  "sh",
  "-c",
  `cat > ${patternFile}.block && i=0 && while [ $i -lt ${Math.ceil(bytes / Pattern.blockBytes)} ]; do ` +
  `cat ${patternFile}.block; i=$((i + 1)); done > ${patternFile}`
]
