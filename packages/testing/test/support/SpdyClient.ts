/**
 * A client of exec over SPDY on a bare socket, which says what it is told to and keeps what comes back.
 */
import * as SpdyStreams from "@effect-k8s/channels/protocol/SpdyStreams"
import type * as TestCluster from "@effect-k8s/testing/TestCluster"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import { eventually } from "./Eventually.ts"
import * as ExecClient from "./ExecClient.ts"

export interface Options extends ExecClient.Options {
  /** The streams to open, in order; those of kubectl unless told. */
  readonly types?: ReadonlyArray<string> | undefined
}

export interface SpdyClient {
  readonly head: string
  readonly status: number
  readonly body: () => string
  /** Streams by type. */
  readonly ids: ReadonlyMap<string, number>
  /** The text of a stream so far. */
  readonly text: (type: string) => string
  readonly size: (type: string) => number
  /** What came, in order: `Replied 1`, `Data 5`, `Ended 5`, `Reset 1`, `Pong`, `GoAway`; data that follow each other once. */
  readonly events: ReadonlyArray<string>
  readonly end: () => string
  readonly send: (type: string, bytes: Uint8Array | string) => void
  readonly endStream: (type: string) => void
  readonly bytes: (bytes: Uint8Array) => void
  readonly streams: SpdyStreams.Streams
  readonly socket: Net.Socket
  readonly ended: Effect.Effect<void>
}

const all = ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"]

/** Opens an exec. The scope destroys its connection. */
export const open = Effect.fnUntraced(function*(
  cluster: Pick<TestCluster.Service, "url" | "token">,
  command: ReadonlyArray<string>,
  options: Options = {}
): Effect.fn.Return<SpdyClient, never, Scope.Scope> {
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() => Net.connect(Number(cluster.url.port), cluster.url.hostname)),
    (socket) => Effect.sync(() => socket.destroy())
  )
  const streams = SpdyStreams.make({ role: "client" })
  const data = new Map<number, Array<Uint8Array>>()
  const events: Array<string> = []
  let head = ""
  let raw = Buffer.alloc(0)
  let end = "none"
  const take = (chunk: Uint8Array): void => {
    for (const event of streams.receive(chunk)) {
      const name = "stream" in event ? `${event._tag} ${event.stream}` : event._tag
      if (event._tag !== "Data" || events.at(-1) !== name) events.push(name)
      if (event._tag === "Data") data.set(event.stream, [...data.get(event.stream) ?? [], event.bytes])
    }
  }
  socket.on("data", (chunk: Buffer) => {
    if (head !== "") {
      if (head.startsWith("HTTP/1.1 101")) take(chunk)
      else raw = Buffer.concat([raw, chunk])
      return
    }
    raw = Buffer.concat([raw, chunk])
    const at = raw.indexOf("\r\n\r\n")
    if (at < 0) return
    head = raw.subarray(0, at + 4).toString("latin1")
    raw = raw.subarray(at + 4)
    if (head.startsWith("HTTP/1.1 101")) take(raw)
  })
  socket.on("error", (cause: NodeJS.ErrnoException) => (end = cause.code ?? "error"))
  socket.on("end", () => (end = "fin"))

  const protocols = options.protocols ?? all.join(", ")
  const headers = {
    Host: cluster.url.host,
    Authorization: `Bearer ${Redacted.value(cluster.token)}`,
    "Content-Length": "0",
    Connection: "Upgrade",
    Upgrade: "SPDY/3.1",
    ...options.headers
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const version = protocols === "" ? "" : `X-Stream-Protocol-Version: ${protocols}\r\n`
  const path = options.path ?? ExecClient.pathOf(command, options)
  socket.write(`${options.method ?? "POST"} ${path} HTTP/1.1\r\n${lines.join("")}${version}\r\n`)
  yield* eventually(Effect.sync(() => head !== "" || end !== "none"), (done) => {
    if (!done) throw new Error("no answer")
  })

  const asked = options.streams ?? "oe"
  const types = options.types ?? [
    "error",
    ...asked.includes("i") ? ["stdin"] : [],
    ...asked.includes("o") ? ["stdout"] : [],
    ...asked.includes("e") ? ["stderr"] : []
  ]
  const ids = new Map<string, number>()
  if (head.startsWith("HTTP/1.1 101")) {
    for (const type of types) {
      const { frame, stream } = streams.open([["streamtype", type]])
      ids.set(type, stream)
      socket.write(frame)
    }
  }
  const idOf = (type: string): number => ids.get(type) ?? -1
  const whole = (type: string): Buffer => Buffer.concat(data.get(idOf(type)) ?? [])
  return {
    head,
    status: Number(head.slice(9, 12)),
    body: () => raw.toString(),
    ids,
    text: (type) => whole(type).toString(),
    size: (type) => whole(type).length,
    events,
    end: () => end,
    send: (type, bytes) => {
      const payload = Buffer.from(bytes as Uint8Array)
      const header = new Uint8Array(8)
      streams.data(header, 0, idOf(type), payload.length)
      socket.write(Buffer.concat([header, payload]))
    },
    endStream: (type) => socket.write(streams.end(idOf(type)) ?? new Uint8Array(0)),
    bytes: (bytes) => socket.write(bytes),
    streams,
    socket,
    ended: eventually(Effect.sync(() => end), (end) => {
      if (end === "none") throw new Error("the connection has not ended")
    }).pipe(Effect.asVoid)
  }
})
