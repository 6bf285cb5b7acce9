/**
 * What a container has written, as the runtime logs it: line by line for each output, with the time of each, and of the
 * oldest only as much as fits.
 *
 * Pure, but for the waiting of those who follow.
 */

/** Complete lines of one output that came at once, or a part of a line that was too long or never ended. */
export interface Entry {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly bytes: Uint8Array
}

/** The log of one run of a container. */
export interface ContainerLog {
  /** Logs what an output has written. The bytes are kept. */
  readonly append: (output: "stdout" | "stderr", bytes: Uint8Array, at: number) => void
  /** The container has ended: what was a line without an end is logged. */
  readonly end: (at: number) => void
  readonly hasEnded: () => boolean
  /** The entries from a number on, those that are still kept, and the number to go on from. */
  readonly from: (number: number) => { readonly entries: ReadonlyArray<Entry>; readonly next: number }
}

// The longest line that is kept whole, as in containerd.
const maxLineBytes = 16 * 1024

const newline = 0x0a

/** A log that keeps at least so many bytes, if there are as many, and little more. */
export const make = (capacityBytes: number): ContainerLog => {
  let entries: Array<Entry> = []
  let first = 0
  let size = 0
  let ended = false
  const open = { stdout: new Uint8Array(0), stderr: new Uint8Array(0) }

  const add = (bytes: Uint8Array, at: number): void => {
    if (bytes.length === 0) return
    entries.push({ at, bytes })
    size += bytes.length
    let drop = 0
    while (size - (entries[drop]?.bytes.length ?? 0) >= capacityBytes) size -= entries[drop++]?.bytes.length ?? 0
    if (drop === 0) return
    entries = entries.slice(drop)
    first += drop
  }

  return {
    append: (output, bytes, at) => {
      const all = open[output].length === 0 ? bytes : Buffer.concat([open[output], bytes])
      const complete = all.lastIndexOf(newline) + 1
      add(all.slice(0, complete), at)
      let rest = all.slice(complete)
      for (; rest.length >= maxLineBytes; rest = rest.slice(maxLineBytes)) add(rest.slice(0, maxLineBytes), at)
      open[output] = rest
    },
    end: (at) => {
      if (ended) return
      add(open.stdout, at)
      add(open.stderr, at)
      ended = true
    },
    hasEnded: () => ended,
    from: (number) => ({ entries: entries.slice(Math.max(0, number - first)), next: first + entries.length })
  }
}

/** What of a log is asked for. */
export interface Selection {
  /** Only what is not older, in milliseconds since 1970. */
  readonly since?: number | undefined
  /** Only the last so many lines. */
  readonly tailLines?: number | undefined
  /** Each line begins with its time. */
  readonly timestamps?: boolean | undefined
}

// RFC 3339 with nanoseconds, of which nothing is known below the milliseconds.
const timestamp = (at: number): string => new Date(at).toISOString().replace("Z", "000000Z ")

/** Writes entries one behind the other: `state` is whether the next one begins a line. */
export const render = (
  entries: ReadonlyArray<Entry>,
  timestamps: boolean,
  startsLine: boolean
): { readonly bytes: Uint8Array; readonly startsLine: boolean } => {
  const parts: Array<Uint8Array> = []
  let isStart = startsLine
  for (const { at, bytes } of entries) {
    const stamp = timestamps ? Buffer.from(timestamp(at)) : undefined
    for (let from = 0; from < bytes.length;) {
      const end = stamp === undefined ? bytes.length : bytes.indexOf(newline, from) + 1
      const line = bytes.subarray(from, end === 0 ? bytes.length : end)
      if (stamp !== undefined && isStart) parts.push(stamp)
      parts.push(line)
      isStart = line.at(-1) === newline
      from += line.length
    }
  }
  return { bytes: Buffer.concat(parts), startsLine: isStart }
}

/** The entries of a selection; of one that begins in the middle, the last part. */
export const select = (entries: ReadonlyArray<Entry>, selection: Selection): ReadonlyArray<Entry> => {
  const { since, tailLines } = selection
  const recent = since === undefined ? entries : entries.filter(({ at }) => at >= since)
  return tailLines === undefined ? recent : tail(recent, tailLines)
}

const tail = (entries: ReadonlyArray<Entry>, lines: number): ReadonlyArray<Entry> => {
  if (lines === 0) return []
  const chosen: Array<Entry> = []
  let left = lines
  for (const [i, entry] of entries.toReversed().entries()) {
    // The newline at the very end ends the last line; each one before it begins a line.
    let at = i === 0 && entry.bytes.at(-1) === newline ? entry.bytes.length - 1 : entry.bytes.length
    while (left > 0 && (at = entry.bytes.subarray(0, at).lastIndexOf(newline)) >= 0) left--
    chosen.push(left > 0 ? entry : { ...entry, bytes: entry.bytes.subarray(at + 1) })
    if (left === 0) break
  }
  return chosen.toReversed().filter(({ bytes }) => bytes.length > 0)
}
