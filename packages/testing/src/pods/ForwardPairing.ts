/**
 * How servers pair the streams of forwarded connections (protocol reference 4.2). Pure: a stream in, what to do out.
 */
import * as SpdyHeaders from "@effect-k8s/channels/protocol/SpdyHeaders"

/** What to do with a stream. */
export type Decision =
  /** It is none of a forwarded connection: reset, without an answer. */
  | { readonly _tag: "Refuse" }
  /** It is half of a pair. */
  | { readonly _tag: "Wait"; readonly request: string }
  /** The pair is whole. */
  | {
    readonly _tag: "Pair"
    readonly request: string
    readonly port: number
    readonly data: number
    readonly error: number
  }
  /** The half is there already; the text is for the error stream of the pair, if it has one. */
  | { readonly _tag: "Duplicate"; readonly text: string; readonly error: number | undefined }

/** The halves of the pairs that are not whole. */
export interface ForwardPairing {
  readonly add: (stream: number, headers: SpdyHeaders.Headers) => Decision
  /** Forgets a half whose other half has not come; its error stream, if that is what came. */
  readonly expire: (request: string) => { readonly error: number | undefined } | undefined
}

const isPort = (text: string): boolean => /^\d+$/.test(text) && Number(text) > 0 && Number(text) <= 0xffff

/** No pairs yet. */
export const make = (): ForwardPairing => {
  const halves = new Map<string, { data?: number; error?: number }>()
  return {
    add: (stream, headers) => {
      const type = SpdyHeaders.get(headers, "streamtype")
      const port = SpdyHeaders.get(headers, "port") ?? ""
      if ((type !== "data" && type !== "error") || !isPort(port)) return { _tag: "Refuse" }
      // Very old clients send no number: the error stream's own is meant, and the data stream is the next.
      const request = SpdyHeaders.get(headers, "requestid") ?? String(type === "error" ? stream : stream - 2)
      const half = halves.get(request) ?? {}
      if (half[type] !== undefined) {
        const text = `error processing stream for request ${request}: ${type} stream already assigned`
        return { _tag: "Duplicate", text, error: half.error }
      }
      half[type] = stream
      halves.set(request, half)
      if (half.data === undefined || half.error === undefined) return { _tag: "Wait", request }
      halves.delete(request)
      return { _tag: "Pair", request, port: Number(port), data: half.data, error: half.error }
    },
    expire: (request) => {
      const half = halves.get(request)
      halves.delete(request)
      return half === undefined ? undefined : { error: half.error }
    }
  }
}
