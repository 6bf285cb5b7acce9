/**
 * What lies between a command's outputs and the client: the connections and buffers between the runtime and the server
 * that the client speaks to. Both outputs and the end share one pipe, so what was written first arrives first.
 *
 * Pure: output goes in by `offer`, and out by `take`.
 */

/** Bytes of an output. */
export interface Output {
  /** 1 is stdout, 2 is stderr. */
  readonly channel: 1 | 2
  readonly bytes: Uint8Array
}

/** The way of the outputs, and of how the command ended. */
export interface BackendPipe<End> {
  /** Whether more should be read from the command. */
  readonly hasRoom: () => boolean
  /** Puts output in; it is kept, not copied. */
  readonly offer: (output: Output) => void
  /** The next output. */
  readonly take: () => Output | undefined
  /** The command has ended like this; it comes after all output. Only the first end counts. */
  readonly finish: (end: End) => void
  readonly hasFinished: () => boolean
  /** The end, once all output is taken. */
  readonly end: () => End | undefined
  /**
   * The connection behind the pipe is lost after the command's end: the output still in it is dropped, and the end
   * becomes another. Says whether there was anything to lose.
   */
  readonly lose: (end: End) => boolean
  /** Nobody takes any more. `drain` lets the command go on into the void, `block` lets it wait when its pipe is full. */
  readonly abandon: (how: "drain" | "block") => void
  /** Bytes of output in the pipe. */
  readonly size: () => number
  /** Bytes that were put in and dropped. */
  readonly dropped: () => number
}

/** A pipe that holds about so many bytes: the chunk that reaches the limit is taken whole. */
export const make = <End>(capacityBytes: number): BackendPipe<End> => {
  let outputs: Array<Output> = []
  let head = 0
  let size = 0
  let dropped = 0
  let end: End | undefined
  let abandoned: "drain" | "block" | undefined

  const clear = (): void => {
    dropped += size
    outputs = []
    head = 0
    size = 0
  }

  return {
    hasRoom: () => (abandoned === undefined ? size < capacityBytes : abandoned === "drain"),
    offer: (output) => {
      if (abandoned !== undefined) {
        dropped += output.bytes.length
        return
      }
      outputs.push(output)
      size += output.bytes.length
    },
    take: () => {
      const output = outputs[head]
      if (output === undefined) return undefined
      head++
      size -= output.bytes.length
      if (head > 64) {
        outputs = outputs.slice(head)
        head = 0
      }
      return output
    },
    finish: (how) => {
      end ??= how
    },
    hasFinished: () => end !== undefined,
    end: () => (head === outputs.length ? end : undefined),
    lose: (how) => {
      if (end === undefined || head === outputs.length) return false
      clear()
      end = how
      return true
    },
    abandon: (how) => {
      abandoned = how
      clear()
    },
    size: () => size,
    dropped: () => dropped
  }
}
