/**
 * Events of the SPDY decoder, put together again so that tests can compare them whatever the cuts were.
 */
import type * as SpdyFrame from "@effect-k8s/channels/protocol/SpdyFrame"
import { toHex } from "./bytes.ts"

/** An event; data in hex, the pieces of a stream that follow each other put together. */
export type Seen =
  | Exclude<SpdyFrame.Event, { readonly _tag: "Data" | "Violation" }>
  | { readonly _tag: "Data"; readonly stream: number; readonly bytes: string }
  | { readonly _tag: "Fin"; readonly stream: number }
  | { readonly _tag: "Violation"; readonly closeCode: number }

/** Puts the pieces together. */
export const seen = (events: Iterable<SpdyFrame.Event>): ReadonlyArray<Seen> => {
  const all: Array<Seen> = []
  for (const event of events) {
    if (event._tag === "Violation") all.push({ _tag: "Violation", closeCode: event.error.closeCode })
    else if (event._tag !== "Data") all.push(event)
    else {
      const { fin, payload, stream } = event
      const last = all.at(-1)
      if (payload.length > 0) {
        if (last?._tag === "Data" && last.stream === stream) all.pop()
        const before = last?._tag === "Data" && last.stream === stream ? last.bytes : ""
        all.push({ _tag: "Data", stream, bytes: before + toHex(payload) })
      }
      if (fin) all.push({ _tag: "Fin", stream })
    }
  }
  return all
}
