/**
 * Events of the frame decoder, put together again so that tests can compare them whatever the cuts were.
 */
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import { toHex } from "./bytes.ts"

/** A data frame put together, or a control frame, or the end. Bytes are in hex. */
export type Seen =
  | {
    readonly _tag: "Frame"
    readonly text: boolean
    readonly first: boolean
    readonly last: boolean
    readonly bytes: string
  }
  | { readonly _tag: "Ping" | "Pong"; readonly bytes: string }
  | { readonly _tag: "Close"; readonly code: number | undefined; readonly reason: string }
  | { readonly _tag: "Violation"; readonly closeCode: number }

/** Puts the pieces of each data frame together. Fails on pieces whose flags do not fit. */
export const assemble = (events: Iterable<WebSocketFrame.Event>): Array<Seen> => {
  const seen: Array<Seen> = []
  let pieces: Array<WebSocketFrame.Data> = []
  const finish = (): void => {
    const [start] = pieces
    if (start === undefined) return
    const last = pieces.at(-1)!.last
    seen.push({
      _tag: "Frame",
      text: start.text,
      first: start.first,
      last,
      bytes: pieces.map((piece) => toHex(piece.payload)).join("")
    })
    pieces = []
  }
  for (const event of events) {
    if (event._tag === "Data" && !event.frame) {
      const before = pieces.at(-1)
      if (before === undefined || before.text !== event.text || event.first || before.last) {
        throw new Error("a piece that continues no frame")
      }
      pieces.push(event)
      continue
    }
    finish()
    if (event._tag === "Data") pieces.push(event)
    else if (event._tag === "Close") seen.push(event)
    else if (event._tag === "Violation") seen.push({ _tag: "Violation", closeCode: event.error.closeCode })
    else seen.push({ _tag: event._tag, bytes: toHex(event.payload) })
  }
  finish()
  return seen
}

/** The events of these chunks, put together. */
export const decodeAll = (
  options: WebSocketFrame.DecoderOptions,
  chunks: Iterable<Uint8Array>
): Array<Seen> => {
  const decoder = WebSocketFrame.makeDecoder(options)
  const events: Array<WebSocketFrame.Event> = []
  for (const chunk of chunks) {
    for (const event of decoder.decode(chunk)) events.push(event)
  }
  return assemble(events)
}
