/**
 * The streams of one SPDY/3.1 connection, for both ends: what may be sent, what has arrived, and what has to be answered.
 * Pure: bytes in, events out; what it wants written is given back as bytes.
 *
 * Kubernetes' own peers know no windows: they neither send nor honour them. So nothing limits what is sent until the
 * peer shows that it counts (by SETTINGS or WINDOW_UPDATE), and from then on its windows are kept and ours are given.
 * Nothing is buffered here; what the owner has not read yet is counted, and can be limited for each stream.
 */
import { violation } from "./ProtocolError.ts"
import type { Violation } from "./ProtocolError.ts"
import * as SpdyFrame from "./SpdyFrame.ts"
import * as SpdyHeaders from "./SpdyHeaders.ts"

/** What happened. `GoAway` and `Violation` are the last event of a connection. */
export type Event =
  /** The peer has begun a stream (told to servers). */
  | { readonly _tag: "Opened"; readonly stream: number; readonly headers: SpdyHeaders.Headers }
  /** The peer has taken a stream of ours. */
  | { readonly _tag: "Replied"; readonly stream: number }
  /** Bytes of a stream: a view of what was read. */
  | { readonly _tag: "Data"; readonly stream: number; readonly bytes: Uint8Array }
  /** The peer sends no more on the stream. */
  | { readonly _tag: "Ended"; readonly stream: number }
  /** The stream has ended both ways. `byPeer` is false when the peer broke its rules, or sent more than was read. */
  | { readonly _tag: "Reset"; readonly stream: number; readonly status: number; readonly byPeer: boolean }
  /** The peer pings, and has its answer among the `replies` unless the owner answers. */
  | { readonly _tag: "Ping"; readonly id: number }
  | { readonly _tag: "Pong" }
  /** More may be sent than before. */
  | { readonly _tag: "Window" }
  | { readonly _tag: "GoAway"; readonly status: number }
  | Violation

/** Settings of a connection. */
export interface Options {
  readonly role: "client" | "server"
  /** The most streams that the peer may have open; 256 unless told. One more is refused. */
  readonly maxStreams?: number | undefined
  /** The most bytes of a stream that the owner may leave unread, before the stream is reset. No limit unless told. */
  readonly maxUnreadBytes?: number | undefined
  /** Whether pings are answered; yes unless told. */
  readonly answersPings?: boolean | undefined
}

/** A connection. */
export interface Streams {
  /** The events of the next bytes from the peer. Never throws. Ask for `replies` afterwards. */
  readonly receive: (chunk: Uint8Array) => Array<Event>
  /** What the protocol itself has to send, if anything: pongs, resets, windows. It is given once. */
  readonly replies: () => Uint8Array | undefined
  /** Begins a stream: its number, and the frame to be sent, in this order and before any other of the stream. */
  readonly open: (headers: SpdyHeaders.Headers) => { readonly stream: number; readonly frame: Uint8Array }
  /** Takes a stream that the peer has begun. */
  readonly reply: (stream: number) => Uint8Array
  /** How many bytes may be sent now: 0 when the stream has ended this way or the peer's window is full. */
  readonly sendable: (stream: number) => number
  /** Writes the header of a data frame that is to be sent, into `target`, and counts it. Gives the offset after it. */
  readonly data: (target: Uint8Array, offset: number, stream: number, size: number) => number
  /** Ends a stream, this way. Nothing if it has. */
  readonly end: (stream: number) => Uint8Array | undefined
  /** Ends a stream, both ways. Nothing if it has. */
  readonly reset: (stream: number, status: number) => Uint8Array | undefined
  readonly ping: () => Uint8Array
  /** The last word. */
  readonly goAway: (status?: number) => Uint8Array
  /** The owner has read so many bytes of a stream. */
  readonly consumed: (stream: number, bytes: number) => void
  /** Whether a stream has not ended this way. */
  readonly isOpen: (stream: number) => boolean
  /** How many streams there are. */
  readonly size: () => number
}

interface Stream {
  readonly byPeer: boolean
  replied: boolean
  localOpen: boolean
  remoteOpen: boolean
  /** Bytes sent, and bytes of window that the peer has given beyond the initial one. */
  sent: number
  granted: number
  /** Bytes received and not read yet; and read, and not given back to the peer's window yet. */
  unread: number
  ungranted: number
}

const defaultWindow = 65_536
const maxWindow = 0x7fff_ffff
// Windows are given back in steps, or every read would be a frame.
const windowStep = 32_768
// What a peer makes us answer without taking the answers.
const maxReplyBytes = 65_536

/** A connection at its start. */
export const make = (options: Options): Streams => {
  const isClient = options.role === "client"
  const maxStreams = options.maxStreams ?? 256
  const maxUnreadBytes = options.maxUnreadBytes ?? Number.POSITIVE_INFINITY
  const decoder = SpdyFrame.makeDecoder()
  const write = SpdyHeaders.makeWriter()
  const streams = new Map<number, Stream>()

  let nextStream = isClient ? 1 : 2
  let nextPing = isClient ? 1 : 2
  let lastPeerStream = 0
  let peerStreams = 0
  let over = false

  let replies: Array<Uint8Array> = []
  let replyBytes = 0

  // What is known of the peer's windows; see above.
  let counts = false
  let countsConnection = false
  let initialWindow = defaultWindow
  const connection = { sent: 0, granted: 0, ungranted: 0 }

  const answer = (frame: Uint8Array): void => {
    replies.push(frame)
    replyBytes += frame.length
  }

  const add = (id: number, byPeer: boolean, remoteOpen: boolean): void => {
    streams.set(id, {
      byPeer,
      replied: false,
      localOpen: true,
      remoteOpen,
      sent: 0,
      granted: 0,
      unread: 0,
      ungranted: 0
    })
    if (byPeer) peerStreams++
  }

  const remove = (id: number): void => {
    if (streams.get(id)?.byPeer === true) peerStreams--
    streams.delete(id)
  }

  const removeIfEnded = (id: number, stream: Stream): void => {
    if (!stream.localOpen && !stream.remoteOpen) remove(id)
  }

  /** Resets a stream for what the peer has done. */
  const breach = (id: number, status: number): Event => {
    answer(SpdyFrame.encodeRstStream(id, status))
    remove(id)
    return { _tag: "Reset", stream: id, status, byPeer: false }
  }

  const grant = (id: number, window: { ungranted: number }): void => {
    if (!counts || window.ungranted < windowStep) return
    answer(SpdyFrame.encodeWindowUpdate(id, window.ungranted))
    window.ungranted = 0
  }

  /** The peer counts: it has been counting since the start. */
  const startCounting = (): void => {
    if (counts) return
    counts = true
    grant(0, connection)
    for (const [id, stream] of streams) grant(id, stream)
  }

  const consume = (id: number, bytes: number): void => {
    connection.ungranted += bytes
    grant(0, connection)
    const stream = streams.get(id)
    if (stream === undefined) return
    stream.unread -= bytes
    stream.ungranted += bytes
    if (stream.remoteOpen) grant(id, stream)
  }

  const endRemote = (id: number, stream: Stream): Event => {
    stream.remoteOpen = false
    removeIfEnded(id, stream)
    return { _tag: "Ended", stream: id }
  }

  const onSynStream = (frame: SpdyFrame.SynStream): ReadonlyArray<Event> => {
    const { stream: id } = frame
    // Real servers answer this way; they do not end the connection.
    if ((id & 1) === (isClient ? 1 : 0) || id <= lastPeerStream) {
      answer(SpdyFrame.encodeRstStream(id, SpdyFrame.Reset.ProtocolError))
      return []
    }
    lastPeerStream = id
    if (isClient || peerStreams >= maxStreams) {
      answer(SpdyFrame.encodeRstStream(id, SpdyFrame.Reset.RefusedStream))
      return []
    }
    add(id, true, true)
    const stream = streams.get(id)!
    if (frame.unidirectional) stream.localOpen = false
    const opened: Event = { _tag: "Opened", stream: id, headers: frame.headers }
    return frame.fin ? [opened, endRemote(id, stream)] : [opened]
  }

  const onData = ({ fin, payload, stream: id }: SpdyFrame.Data): ReadonlyArray<Event> => {
    const stream = streams.get(id)
    if (stream === undefined) {
      // Of a stream that has ended: it still counts against the connection.
      consume(id, payload.length)
      return []
    }
    if (!stream.remoteOpen) return [breach(id, SpdyFrame.Reset.StreamAlreadyClosed)]
    stream.unread += payload.length
    if (stream.unread > maxUnreadBytes) return [breach(id, SpdyFrame.Reset.FlowControlError)]
    const data: Event = { _tag: "Data", stream: id, bytes: payload }
    return payload.length === 0
      ? fin ? [endRemote(id, stream)] : []
      : fin
      ? [data, endRemote(id, stream)]
      : [data]
  }

  const onHeaders = ({ _tag, fin, stream: id }: SpdyFrame.WithHeaders): ReadonlyArray<Event> => {
    const stream = streams.get(id)
    if (stream === undefined) return []
    const events: Array<Event> = []
    if (_tag === "SynReply" && !stream.replied && !stream.byPeer) {
      stream.replied = true
      events.push({ _tag: "Replied", stream: id })
    }
    if (fin && stream.remoteOpen) events.push(endRemote(id, stream))
    return events
  }

  const onWindowUpdate = ({ delta, stream: id }: SpdyFrame.WindowUpdate): ReadonlyArray<Event> => {
    startCounting()
    if (id === 0) {
      countsConnection = true
      connection.granted += delta
      return connection.granted - connection.sent + defaultWindow > maxWindow
        ? [violation(1002, "The peer has made the connection's window too large (SPDY/3.1 2.6.8)")]
        : [{ _tag: "Window" }]
    }
    const stream = streams.get(id)
    if (stream === undefined) return []
    stream.granted += delta
    return stream.granted - stream.sent + initialWindow > maxWindow
      ? [breach(id, SpdyFrame.Reset.FlowControlError)]
      : [{ _tag: "Window" }]
  }

  const onSettings = ({ settings }: SpdyFrame.Settings): ReadonlyArray<Event> => {
    const window = settings.findLast(([id]) => id === SpdyFrame.initialWindowSetting)?.[1]
    if (window === undefined) return []
    if (window > maxWindow) return [violation(1002, "The peer has set a window that is too large (SPDY/3.1 2.6.4)")]
    initialWindow = window
    startCounting()
    return [{ _tag: "Window" }]
  }

  const onPing = (id: number): ReadonlyArray<Event> => {
    if (id === 0) return [violation(1002, "The peer sent a ping without a number (SPDY/3.1 2.6.5)")]
    if ((id & 1) === (isClient ? 1 : 0)) return [{ _tag: "Pong" }]
    if (options.answersPings !== false) answer(SpdyFrame.encodePing(id))
    return [{ _tag: "Ping", id }]
  }

  const onFrame = (frame: SpdyFrame.Event): ReadonlyArray<Event> => {
    switch (frame._tag) {
      case "SynStream":
        return onSynStream(frame)
      case "SynReply":
      case "Headers":
        return onHeaders(frame)
      case "Data":
        return onData(frame)
      case "RstStream": {
        const { status, stream } = frame
        if (!streams.has(stream)) return []
        remove(stream)
        return [{ _tag: "Reset", stream, status, byPeer: true }]
      }
      case "Settings":
        return onSettings(frame)
      case "Ping":
        return onPing(frame.id)
      case "WindowUpdate":
        return onWindowUpdate(frame)
      case "GoAway":
        return [{ _tag: "GoAway", status: frame.status }]
      case "Violation":
        return [frame]
    }
  }

  const isLast = (event: Event): boolean => event._tag === "GoAway" || event._tag === "Violation"

  return {
    receive: (chunk) => {
      const events: Array<Event> = []
      if (over) return events
      for (const frame of decoder.decode(chunk)) {
        for (const event of onFrame(frame)) events.push(event)
        if (replyBytes > maxReplyBytes) {
          events.push(violation(1002, "The peer asks for more answers than it takes"))
        }
        const last = events.at(-1)
        over = last !== undefined && isLast(last)
        if (over) break
      }
      return events
    },
    replies: () => {
      if (replyBytes === 0) return undefined
      const bytes = new Uint8Array(replyBytes)
      let at = 0
      for (const reply of replies) {
        bytes.set(reply, at)
        at += reply.length
      }
      replies = []
      replyBytes = 0
      return bytes
    },
    open: (headers) => {
      const stream = nextStream
      nextStream += 2
      add(stream, false, true)
      return { stream, frame: SpdyFrame.encodeSynStream(stream, write(headers)) }
    },
    reply: (id) => SpdyFrame.encodeSynReply(id, write([])),
    sendable: (id) => {
      const stream = streams.get(id)
      if (stream === undefined || !stream.localOpen) return 0
      if (!counts) return Number.POSITIVE_INFINITY
      const window = initialWindow + stream.granted - stream.sent
      const whole = countsConnection ? defaultWindow + connection.granted - connection.sent : window
      return Math.max(0, Math.min(window, whole))
    },
    data: (target, offset, id, size) => {
      const stream = streams.get(id)
      if (stream !== undefined) stream.sent += size
      connection.sent += size
      return SpdyFrame.encodeDataHeaderInto(target, offset, { stream: id, size, fin: false })
    },
    end: (id) => {
      const stream = streams.get(id)
      if (stream === undefined || !stream.localOpen) return undefined
      stream.localOpen = false
      removeIfEnded(id, stream)
      return SpdyFrame.encodeData(id, new Uint8Array(0), true)
    },
    reset: (id, status) => {
      if (!streams.has(id)) return undefined
      remove(id)
      return SpdyFrame.encodeRstStream(id, status)
    },
    ping: () => {
      const id = nextPing
      nextPing = (nextPing + 2) & 0x7fff_ffff
      return SpdyFrame.encodePing(id)
    },
    goAway: (status) => SpdyFrame.encodeGoAway(lastPeerStream, status),
    consumed: consume,
    isOpen: (id) => streams.get(id)?.localOpen === true,
    size: () => streams.size
  }
}
