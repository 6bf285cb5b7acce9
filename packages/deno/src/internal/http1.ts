/**
 * HTTP/1.1 of a client, pure: the head of a request, and an answer from its bytes (RFC 9112).
 */
import * as Bytes from "effect/Bytes"

/** Names in lower case; repeated ones come as they came. */
export type HeaderLines = ReadonlyArray<readonly [name: string, value: string]>

/** The bytes are not HTTP. */
export class NotHttpAnswer extends Error {
  override readonly name = "NotHttpAnswer"
}

/** The connection ended before the answer did. */
export class BrokenAnswer extends Error {
  override readonly name = "BrokenAnswer"
}

/** The request is none that HTTP allows. */
export class InvalidRequestHead extends Error {
  override readonly name = "InvalidRequestHead"
}

/** A part of an answer. `rest` is what came behind it. */
export type Part =
  | { readonly _tag: "Head"; readonly status: number; readonly headers: HeaderLines }
  | { readonly _tag: "Body"; readonly bytes: Uint8Array }
  | { readonly _tag: "End"; readonly rest: Uint8Array }

const eol = "\r\n"
/** API servers send less than 2 KiB; undici allows 16. */
const headLimit = 64 * 1024

// A request's own framing is written by `requestHead`.
const framing = new Set(["host", "content-length", "transfer-encoding", "connection"])

/** What a request goes out with, besides its headers. */
export interface RequestHead {
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly host: string
  /** A value with line feeds is one header line per part. */
  readonly headers: Readonly<Record<string, string>>
  /** The length of the body; `chunked` where it is not known, and nothing where there is none. */
  readonly body: number | "chunked" | undefined
  /** The protocol to upgrade to. */
  readonly upgrade?: string | undefined
}

/** Latin-1, as header values are: `TextEncoder` would write two bytes for what is above U+007F. */
const bytesOf = (text: string): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0xff) throw new InvalidRequestHead("the head of a request has a character that HTTP does not allow")
    bytes[i] = code
  }
  return bytes
}

/** The same way back; `TextDecoder` would take it for Windows-1252. */
const text = (bytes: Uint8Array): string => {
  let out = ""
  for (const byte of bytes) out += String.fromCharCode(byte)
  return out
}

/** The request line and the header lines. Fails for a name or value that would be another line. */
export const requestHead = (head: RequestHead): Uint8Array<ArrayBuffer> => {
  const { body, headers, host, method, target, upgrade } = head
  const lines = [`${method} ${target} HTTP/1.1`, `host: ${host}`]
  if (upgrade !== undefined) lines.push("connection: Upgrade", `upgrade: ${upgrade}`)
  for (const [name, value] of Object.entries(headers)) {
    const key = name.toLowerCase()
    if (framing.has(key) || key === "upgrade") continue
    if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(key)) {
      throw new InvalidRequestHead("a header has a name that HTTP does not allow")
    }
    for (const part of value.split("\n")) {
      if (/[\r\0]/.test(part)) throw new InvalidRequestHead(`the header ${key} has a value that HTTP does not allow`)
      lines.push(`${key}: ${part}`)
    }
  }
  if (body === "chunked") lines.push("transfer-encoding: chunked")
  else if (body !== undefined) lines.push(`content-length: ${body}`)
  else if (method !== "GET" && method !== "HEAD") lines.push("content-length: 0")
  return bytesOf(lines.join(eol) + eol + eol)
}

const cr = 13
const lf = 10

/** Where a line ends: the index behind its line feed, or -1. */
const lineEnd = (bytes: Uint8Array, from: number): number => bytes.indexOf(lf, from) + 1 || -1

type State =
  | { readonly _tag: "Head" }
  | { readonly _tag: "Length"; left: number }
  | { readonly _tag: "ToEnd" }
  | { readonly _tag: "ChunkSize" }
  | { readonly _tag: "Chunk"; left: number }
  | { readonly _tag: "ChunkEnd" }
  | { readonly _tag: "Trailers" }
  | { readonly _tag: "Done" }

/** Reads one answer. Interim answers are passed over. */
export class AnswerParser {
  readonly #method: string
  #state: State = { _tag: "Head" }
  #kept: Uint8Array = new Uint8Array(0)
  #keepAlive = false
  #begun = false

  /** For the answer to a request with this method. */
  constructor(method: string) {
    this.#method = method
  }

  /** Whether another request may follow on the connection when this answer is over. */
  get keepAlive(): boolean {
    return this.#keepAlive
  }

  /** Takes the next bytes. Throws `NotHttpAnswer`. A `101` ends the answer: the rest is the other protocol's. */
  push(chunk: Uint8Array): Array<Part> {
    if (chunk.length > 0) this.#begun = true
    let bytes = this.#kept.length === 0 ? chunk : Bytes.concat([this.#kept, chunk])
    this.#kept = new Uint8Array(0)
    const parts: Array<Part> = []
    const body = (length: number): void => {
      parts.push({ _tag: "Body", bytes: bytes.subarray(0, length) })
      bytes = bytes.subarray(length)
    }
    const done = (): Array<Part> => {
      this.#state = { _tag: "Done" }
      parts.push({ _tag: "End", rest: bytes })
      return parts
    }
    while (true) {
      const state = this.#state
      switch (state._tag) {
        case "Head": {
          const length = headLength(bytes)
          if (length === -1) {
            refuseOther(bytes)
            return this.#keep(bytes, parts)
          }
          const { headers, minor, status } = parseHead(text(bytes.subarray(0, length)))
          bytes = bytes.subarray(length)
          if (status < 200 && status !== 101) break
          parts.push({ _tag: "Head", status, headers })
          this.#state = this.#bodyOf(status, headers, minor)
          if (this.#state._tag === "Done") return done()
          break
        }
        case "Length":
        case "Chunk": {
          if (state.left > 0) {
            if (bytes.length === 0) return parts
            const length = Math.min(state.left, bytes.length)
            body(length)
            state.left -= length
            if (state.left > 0) return parts
          }
          if (state._tag === "Length") return done()
          this.#state = { _tag: "ChunkEnd" }
          break
        }
        case "ToEnd":
          if (bytes.length > 0) body(bytes.length)
          return parts
        case "ChunkSize":
        case "ChunkEnd":
        case "Trailers": {
          const end = lineEnd(bytes, 0)
          if (end === -1) return this.#keep(bytes, parts)
          const line = text(bytes.subarray(0, bytes[end - 2] === cr ? end - 2 : end - 1))
          bytes = bytes.subarray(end)
          if (state._tag === "Trailers") {
            if (line === "") return done()
          } else if (state._tag === "ChunkEnd") {
            if (line !== "") throw new NotHttpAnswer("a chunk of the body is longer than it says")
            this.#state = { _tag: "ChunkSize" }
          } else {
            const size = /^([0-9a-f]{1,12})[ \t]*(?:;.*)?$/i.exec(line)?.[1]
            if (size === undefined) throw new NotHttpAnswer("a chunk of the body has no length")
            const left = Number.parseInt(size, 16)
            this.#state = left === 0 ? { _tag: "Trailers" } : { _tag: "Chunk", left }
          }
          break
        }
        case "Done":
          return parts
      }
    }
  }

  /** The peer's end: the last parts, if the answer may end here. Throws `BrokenAnswer`. */
  end(): Array<Part> {
    switch (this.#state._tag) {
      case "Done":
        return []
      case "ToEnd":
        this.#state = { _tag: "Done" }
        return [{ _tag: "End", rest: new Uint8Array(0) }]
      case "Head":
        // What has begun otherwise than HTTP was refused before.
        throw new BrokenAnswer(`the connection ended ${this.#begun ? "within the head of" : "before"} an answer`)
      default:
        throw new BrokenAnswer("the connection ended before the answer did")
    }
  }

  #keep(bytes: Uint8Array, parts: Array<Part>): Array<Part> {
    if (bytes.length > headLimit) throw new NotHttpAnswer("a line or the head of the answer has no end")
    this.#kept = new Uint8Array(bytes)
    return parts
  }

  // RFC 9112 6.3.
  #bodyOf(status: number, headers: HeaderLines, minor: string): State {
    const values = (name: string): ReadonlyArray<string> =>
      headers.flatMap(([key, value]) => key === name ? value.toLowerCase().split(",").map((part) => part.trim()) : [])
    const options = values("connection")
    this.#keepAlive = minor === "0" ? options.includes("keep-alive") : !options.includes("close")
    if (status === 101) this.#keepAlive = false
    const tunnelled = this.#method === "CONNECT" && status < 300
    if (this.#method === "HEAD" || tunnelled || status === 101 || status === 204 || status === 304) {
      return { _tag: "Done" }
    }
    const codings = values("transfer-encoding")
    if (codings.length > 0) {
      if (codings.join() !== "chunked") throw new NotHttpAnswer("the body has a coding that was not asked for")
      return { _tag: "ChunkSize" }
    }
    const lengths = [...new Set(values("content-length"))]
    if (lengths.length === 0) {
      this.#keepAlive = false
      return { _tag: "ToEnd" }
    }
    if (lengths.length > 1 || !/^\d{1,15}$/.test(lengths[0] ?? "")) {
      throw new NotHttpAnswer("the body has more than one length, or none that is a number")
    }
    const left = Number(lengths[0])
    return left === 0 ? { _tag: "Done" } : { _tag: "Length", left }
  }
}

/** The length of a head with the empty line behind it, or -1. */
const headLength = (bytes: Uint8Array): number => {
  for (let start = 0, end = lineEnd(bytes, 0); end !== -1; start = end, end = lineEnd(bytes, end)) {
    const length = end - start
    if (start > 0 && (length === 1 || length === 2 && bytes[start] === cr)) return end
  }
  return -1
}

// Something that is not HTTP may wait for us to speak.
const refuseOther = (bytes: Uint8Array): void => {
  const start = text(bytes.subarray(0, 9))
  if (!"HTTP/1.1 ".startsWith(start) && !"HTTP/1.0 ".startsWith(start)) {
    throw new NotHttpAnswer("the answer does not begin like HTTP")
  }
}

const parseHead = (
  head: string
): { readonly status: number; readonly headers: HeaderLines; readonly minor: string } => {
  const [first = "", ...lines] = head.split(/\r?\n/)
  const [, minor, status] = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: .*)?$/.exec(first) ?? []
  if (minor === undefined) throw new NotHttpAnswer("the answer does not begin like HTTP")
  const headers = lines.filter((line) => line !== "").map((line) => {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? []
    if (name === undefined || value === undefined) throw new NotHttpAnswer("the answer has a line that is no header")
    return [name.toLowerCase(), value] as const
  })
  return { status: Number(status), headers, minor }
}
