/**
 * A server's end of SPDY for tests of forwarded connections, and the events of a client put together again, so that they
 * can be compared whatever the cuts were.
 */
import type { Event } from "@effect-k8s/channels/protocol/ForwardProtocol"
import * as SpdyHeaders from "@effect-k8s/channels/protocol/SpdyHeaders"
import * as SpdyStreams from "@effect-k8s/channels/protocol/SpdyStreams"
import { concat, toHex } from "./bytes.ts"

/** An event; data in hex, the pieces that follow each other put together. */
export type Seen =
  | Exclude<Event, { readonly _tag: "Data" | "Violation" }>
  | { readonly _tag: "Data"; readonly pair: number; readonly bytes: string }
  | { readonly _tag: "Violation"; readonly closeCode: number }

/** Puts the pieces together. */
export const seen = (events: Iterable<Event>): ReadonlyArray<Seen> => {
  const all: Array<Seen> = []
  for (const event of events) {
    if (event._tag === "Violation") all.push({ _tag: "Violation", closeCode: event.error.closeCode })
    else if (event._tag !== "Data") all.push(event)
    else {
      const last = all.at(-1)
      const follows = last?._tag === "Data" && last.pair === event.pair
      if (follows) all.pop()
      all.push({ _tag: "Data", pair: event.pair, bytes: (follows ? last.bytes : "") + toHex(event.bytes) })
    }
  }
  return all
}

/** A server: the streams that a client has opened, by request and type. */
export const makeServer = () => {
  const streams = SpdyStreams.make({ role: "server" })
  const opened = new Map<string, { readonly stream: number; readonly port: string | undefined }>()
  const events: Array<SpdyStreams.Event> = []
  const streamOf = (pair: number, type: "data" | "error"): number => opened.get(`${pair} ${type}`)?.stream ?? -1
  return {
    streams,
    events,
    receive: (chunk: Uint8Array): void => {
      for (const event of streams.receive(chunk)) {
        events.push(event)
        if (event._tag !== "Opened") continue
        const get = (name: string): string | undefined => SpdyHeaders.get(event.headers, name)
        opened.set(`${get("requestid")} ${get("streamtype")}`, { stream: event.stream, port: get("port") })
      }
    },
    portOf: (pair: number) => opened.get(`${pair} data`)?.port,
    reply: (pair: number) => concat(streams.reply(streamOf(pair, "error")), streams.reply(streamOf(pair, "data"))),
    send: (pair: number, type: "data" | "error", payload: Uint8Array): Uint8Array => {
      const header = new Uint8Array(8)
      streams.data(header, 0, streamOf(pair, type), payload.length)
      return concat(header, payload)
    },
    end: (pair: number, type: "data" | "error") => streams.end(streamOf(pair, type)) ?? new Uint8Array(0),
    reset: (pair: number, type: "data" | "error") => streams.reset(streamOf(pair, type), 5) ?? new Uint8Array(0)
  }
}
