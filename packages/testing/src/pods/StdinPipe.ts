/**
 * What lies between a client's stdin and the command's pipe, as in the runtime: a copier takes what was received, in
 * pieces of 32 KiB, and puts it into a pipe of limited size. What the copier has taken arrives, whatever happens; the
 * rest is dropped when stdin is cut; and a copier that finds the pipe full waits, even for a command that has ended.
 *
 * Pure: the bytes go in by `offer`, and out by `peek` and `advance`.
 */
import * as ByteQueue from "./ByteQueue.ts"

/** How much it holds, in bytes. */
export interface Options {
  /** Of what was received and not yet copied. Above it `hasRoom` is false. */
  readonly receivedBytes: number
  /** Of what was copied and the command has not read, without the command's own pipe. */
  readonly copiedBytes: number
}

/** The way of stdin to a command. */
export interface StdinPipe {
  /** Whether more should be received. */
  readonly hasRoom: () => boolean
  /** Receives bytes. They are kept, not copied. After the end or a cut they are dropped. */
  readonly offer: (bytes: Uint8Array) => void
  /** No more will be received: what was arrives, then the end. */
  readonly end: () => void
  /** Stdin is given up: what was not copied is dropped, what was copied arrives, then the end. */
  readonly cut: () => void
  /** The command has closed its end: nothing arrives any more. */
  readonly break: () => void
  /** Nobody waits for anything any more: all is dropped, now and later. */
  readonly discard: () => void
  /** The next bytes for the command. Empty: none, for now. */
  readonly peek: () => Uint8Array
  /** The command's pipe has taken so many. */
  readonly advance: (count: number) => void
  /** Everything has arrived that will: the command's stdin ends. */
  readonly isFinished: () => boolean
  /** Whether the copier waits for room. */
  readonly isBlocked: () => boolean
  /** Bytes received that the command's pipe has not taken. */
  readonly unread: () => number
  /** Bytes received and dropped. */
  readonly dropped: () => number
}

const copyBytes = 32 * 1024

/** The way of stdin to one command. */
export const make = (options: Options): StdinPipe => {
  const received = ByteQueue.make()
  const copied = ByteQueue.make()
  // What the copier holds and has not put down.
  let held: Uint8Array = new Uint8Array(0)
  let dropped = 0
  let ended = false
  let broken = false

  const copy = (): void => {
    while (true) {
      if (held.length === 0) {
        held = received.peek(copyBytes)
        received.advance(held.length)
        if (held.length === 0) return
      }
      if (copied.size() + held.length > options.copiedBytes) return
      copied.push(held)
      held = new Uint8Array(0)
    }
  }

  const unread = (): number => received.size() + held.length + copied.size()

  return {
    hasRoom: () => ended || received.size() < options.receivedBytes,
    offer: (bytes) => {
      if (ended) dropped += bytes.length
      else {
        received.push(bytes)
        copy()
      }
    },
    end: () => {
      ended = true
    },
    cut: () => {
      ended = true
      dropped += received.clear()
    },
    break: () => {
      broken = true
    },
    discard: () => {
      ended = true
      broken = true
      dropped += received.clear() + copied.clear() + held.length
      held = new Uint8Array(0)
    },
    peek: () => (broken ? new Uint8Array(0) : copied.peek(copyBytes)),
    advance: (count) => {
      copied.advance(count)
      copy()
    },
    isFinished: () => ended && !broken && unread() === 0,
    isBlocked: () => held.length > 0,
    unread,
    dropped: () => dropped
  }
}
