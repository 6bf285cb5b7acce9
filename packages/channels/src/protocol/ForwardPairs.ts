/**
 * Forwarded connections over one SPDY/3.1 connection, at the client's end (protocol reference 4.2, 4.3): each is a pair of
 * streams, one for its data and one for what the server has to say about its failure.
 *
 * A failure of one connection is an event of that one; only `Closed` and a `Violation` end the others.
 */
import type { Event, ForwardProtocol } from "./ForwardProtocol.ts"
import { dataHeaderBytes, Reset } from "./SpdyFrame.ts"
import * as SpdyStreams from "./SpdyStreams.ts"

/** The subprotocol of port-forward over SPDY. */
export const protocol = "portforward.k8s.io"

/** What is to be sent, frame by frame: inside WebSocket each is a message. */
export type Frames = ReadonlyArray<Uint8Array>

/** As `ForwardProtocol`, in frames. */
export interface ForwardPairs
  extends Pick<ForwardProtocol, "receive" | "replies" | "sendable" | "consumed" | "settle" | "ping">
{
  readonly open: (port: number) => { readonly pair: number; readonly frames: Frames }
  /** Writes the header of a data frame that is to be sent, into `target`, and counts it. Gives the offset after it. */
  readonly headerInto: (target: Uint8Array, offset: number, pair: number, size: number) => number
  readonly end: (pair: number) => Frames
  readonly release: (pair: number) => Frames
  readonly goAway: () => Uint8Array
  /** How many connections are known, those included that have ended and were not released. */
  readonly size: () => number
}

interface Pair {
  readonly id: number
  readonly error: number
  readonly data: number
  replies: number
  /** What the server has said of a failure so far. */
  text: string
  readonly decoder: TextDecoder
  /** How each stream has ended, at the server's end. */
  dataEnd: "fin" | "reset" | undefined
  errorEnd: "fin" | "reset" | undefined
  isEnding: boolean
  isOver: boolean
}

// One sentence of a runtime; a server that says more is not listened to.
const maxTextLength = 4_096

/** The connections of a SPDY connection at its start. */
export const make = (): ForwardPairs => {
  const streams = SpdyStreams.make({ role: "client" })
  const pairs = new Map<number, Pair>()
  const byStream = new Map<number, Pair>()
  let nextRequest = 0

  /** What the server has said by now is all. */
  const settled = (pair: Pair): Event => {
    pair.isOver = true
    const text = pair.text + pair.decoder.decode()
    return text === "" && pair.dataEnd === "fin"
      ? { _tag: "Ended", pair: pair.id }
      : { _tag: "Failed", pair: pair.id, text, accepted: pair.replies === 2 }
  }

  const ending = (pair: Pair): Event | undefined => {
    if (pair.isEnding) return undefined
    pair.isEnding = true
    return { _tag: "Ending", pair: pair.id }
  }

  /**
   * The end of one of the streams. What the server says of a failure may come behind the end of the data; so the end of
   * the error stream tells, unless it came without a word, as it does when all is well.
   */
  const onEnd = (pair: Pair, stream: number, how: "fin" | "reset"): Event | undefined => {
    if (stream === pair.data) pair.dataEnd ??= how
    else pair.errorEnd ??= how
    if (pair.isOver) return undefined
    const isTold = pair.errorEnd !== undefined &&
      (pair.text !== "" || pair.dataEnd !== undefined || (pair.errorEnd === "reset" && pair.replies < 2))
    return isTold ? settled(pair) : pair.dataEnd !== undefined ? ending(pair) : undefined
  }

  const onData = (pair: Pair, stream: number, bytes: Uint8Array): Event | undefined => {
    if (stream === pair.data && !pair.isOver) return { _tag: "Data", pair: pair.id, bytes }
    streams.consumed(stream, bytes.length)
    if (pair.isOver || stream === pair.data) return undefined
    if (pair.text.length < maxTextLength) pair.text += pair.decoder.decode(bytes, { stream: true })
    return ending(pair)
  }

  const onEvent = (event: SpdyStreams.Event): Event | undefined => {
    switch (event._tag) {
      case "Pong":
      case "Window":
      case "Violation":
        return event
      case "GoAway":
        return { _tag: "Closed", code: undefined, reason: `GOAWAY, status ${event.status}` }
    }
    const pair = "stream" in event ? byStream.get(event.stream) : undefined
    if (pair === undefined) return undefined
    switch (event._tag) {
      case "Replied":
        pair.replies++
        return pair.replies === 2 && !pair.isOver ? { _tag: "Accepted", pair: pair.id } : undefined
      case "Data":
        return onData(pair, event.stream, event.bytes)
      case "Ended":
        return onEnd(pair, event.stream, "fin")
      case "Reset":
        return onEnd(pair, event.stream, "reset")
      default:
        return undefined
    }
  }

  const frames = (...some: ReadonlyArray<Uint8Array | undefined>): Frames => some.filter((frame) => frame !== undefined)

  return {
    receive: (chunk) => streams.receive(chunk).map(onEvent).filter((event) => event !== undefined),
    replies: streams.replies,
    open: (port) => {
      const id = nextRequest++
      const headers = (type: "error" | "data") =>
        [["streamtype", type], ["port", String(port)], ["requestid", String(id)]] as const
      const error = streams.open(headers("error"))
      // A client has nothing to say there.
      const end = streams.end(error.stream)
      const data = streams.open(headers("data"))
      const pair: Pair = {
        id,
        error: error.stream,
        data: data.stream,
        replies: 0,
        text: "",
        decoder: new TextDecoder(),
        dataEnd: undefined,
        errorEnd: undefined,
        isEnding: false,
        isOver: false
      }
      pairs.set(id, pair)
      byStream.set(error.stream, pair)
      byStream.set(data.stream, pair)
      return { pair: id, frames: frames(error.frame, end, data.frame) }
    },
    sendable: (id) => {
      const pair = pairs.get(id)
      return pair === undefined || pair.isOver ? 0 : streams.sendable(pair.data)
    },
    headerInto: (target, offset, id, size) => streams.data(target, offset, pairs.get(id)?.data ?? 0, size),
    end: (id) => {
      const pair = pairs.get(id)
      return pair === undefined ? [] : frames(streams.end(pair.data))
    },
    release: (id) => {
      const pair = pairs.get(id)
      if (pair === undefined) return []
      pairs.delete(id)
      byStream.delete(pair.error)
      byStream.delete(pair.data)
      return frames(streams.reset(pair.data, Reset.Cancel), streams.reset(pair.error, Reset.Cancel))
    },
    settle: (id) => {
      const pair = pairs.get(id)
      return pair === undefined || pair.isOver || !pair.isEnding ? undefined : settled(pair)
    },
    consumed: (id, bytes) => {
      const pair = pairs.get(id)
      if (pair !== undefined) streams.consumed(pair.data, bytes)
    },
    ping: streams.ping,
    goAway: () => streams.goAway(),
    size: () => pairs.size
  }
}

/** Frames as one array; nothing of none. */
export const join = (frames: Frames): Uint8Array | undefined => {
  if (frames.length === 0) return undefined
  const whole = new Uint8Array(frames.reduce((size, frame) => size + frame.length, 0))
  let at = 0
  for (const frame of frames) {
    whole.set(frame, at)
    at += frame.length
  }
  return whole
}

/** The connections on the bytes of a SPDY connection as they are. */
export const makeProtocol = (): ForwardProtocol => {
  const pairs = make()
  return {
    receive: pairs.receive,
    replies: pairs.replies,
    open: (port) => {
      const { frames, pair } = pairs.open(port)
      return { pair, bytes: join(frames) ?? new Uint8Array(0) }
    },
    sendable: pairs.sendable,
    overhead: dataHeaderBytes,
    encodeInto: (target, offset, pair, payload) => {
      const at = pairs.headerInto(target, offset, pair, payload.length)
      target.set(payload, at)
      return at + payload.length
    },
    end: (pair) => join(pairs.end(pair)),
    leave: (pair) => join(pairs.end(pair)),
    release: (pair) => join(pairs.release(pair)),
    settle: pairs.settle,
    consumed: pairs.consumed,
    ping: pairs.ping,
    keepAlive: pairs.ping,
    goodbye: pairs.goAway
  }
}
