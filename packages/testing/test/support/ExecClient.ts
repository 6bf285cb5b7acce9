/**
 * A client of exec that says what it is told to, byte by byte, and keeps what comes back and how it ended. It knows no
 * rules, so it can break all of them.
 */
import * as ExitStatus from "@effect-k8s/channels/protocol/ExitStatus"
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import type * as TestCluster from "@effect-k8s/testing/TestCluster"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { eventually } from "./Eventually.ts"

export const v5 = "v5.channel.k8s.io"
export const v4 = "v4.channel.k8s.io"

export interface Options {
  readonly pod?: string | undefined
  readonly container?: string | undefined
  /** Which streams: letters of `ioe`; `oe` by default. */
  readonly streams?: string | undefined
  readonly tty?: boolean | undefined
  /** The `Sec-WebSocket-Protocol` header; none at all for `undefined`. */
  readonly protocols?: string | undefined
  readonly method?: string | undefined
  readonly token?: string | undefined
  /** Headers in place of those of the handshake. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Read nothing until told. */
  readonly paused?: boolean | undefined
  readonly path?: string | undefined
}

const handshake = {
  "Connection": "Upgrade",
  "Upgrade": "websocket",
  "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
  "Sec-WebSocket-Version": "13"
}

export const pathOf = (command: ReadonlyArray<string>, options: Options): string => {
  const { container, pod = "p", streams = "oe", tty } = options
  const query = new URLSearchParams(command.map((word) => ["command", word]))
  if (container !== undefined) query.set("container", container)
  if (streams.includes("i")) query.set("stdin", "true")
  if (streams.includes("o")) query.set("stdout", "true")
  if (streams.includes("e")) query.set("stderr", "true")
  if (tty === true) query.set("tty", "true")
  return `/api/v1/namespaces/default/pods/${pod}/exec?${query}`
}

const mask = 0x1a2b3c4d

/** The message by which stdin ends on v5. */
export const endOfStdin = WebSocketFrame.encode(
  { opcode: WebSocketFrame.Opcode.Binary, payload: Uint8Array.of(255, 0) },
  mask
)

export interface ExecClient {
  /** The head of the answer, as it came. */
  readonly head: string
  readonly status: number
  /** What came after the head of an answer that is no 101. */
  readonly body: () => string
  /** The bytes of a channel so far. */
  readonly channel: (channel: number) => Buffer
  /** Each message so far: its opcode, channel and payload size. */
  readonly messages: ReadonlyArray<readonly [number, number, number]>
  /** What else came: pings, pongs, the close frame, a violation. */
  readonly events: ReadonlyArray<WebSocketFrame.Event>
  readonly closeCode: () => number | undefined
  /** `none`, `fin`, or the code of the error. */
  readonly end: () => string
  readonly outcome: () => ExitStatus.Outcome
  readonly send: (channel: number, bytes: Uint8Array | string) => void
  readonly frame: (frame: WebSocketFrame.Frame) => void
  readonly bytes: (bytes: Uint8Array) => void
  readonly ping: (payload?: string) => void
  readonly close: (code?: number) => void
  readonly destroy: () => void
  readonly resume: () => void
  readonly socket: Net.Socket
  /** Waits until the connection has ended. */
  readonly ended: Effect.Effect<void>
  /** Sends bytes of stdin in messages of 32 KiB, as fast as the socket takes them. Ends early with the connection. */
  readonly feed: (size: number) => Effect.Effect<void>
}

/** Opens an exec. The scope destroys its connection. */
export const open = Effect.fnUntraced(function*(
  cluster: Pick<TestCluster.Service, "url" | "token" | "ca">,
  command: ReadonlyArray<string>,
  options: Options = {}
): Effect.fn.Return<ExecClient, never, Scope.Scope> {
  const { host, port } = { host: cluster.url.hostname, port: Number(cluster.url.port) }
  const socket = yield* Effect.acquireRelease(
    Effect.sync(() =>
      cluster.url.protocol === "https:" ? Tls.connect({ host, port, ca: cluster.ca }) : Net.connect(port, host)
    ),
    (socket) => Effect.sync(() => socket.destroy())
  )
  const decoder = WebSocketFrame.makeDecoder({ role: "client" })
  const channels = new Map<number, Array<Uint8Array>>()
  const messages: Array<[number, number, number]> = []
  const events: Array<WebSocketFrame.Event> = []
  let head = ""
  let raw = Buffer.alloc(0)
  let current = -1
  let end = "none"

  const take = (event: WebSocketFrame.Event): void => {
    if (event._tag !== "Data") {
      events.push(event)
      return
    }
    let bytes = event.payload
    if (event.first) {
      current = bytes[0] ?? -1
      bytes = bytes.subarray(1)
      messages.push([event.text ? 1 : 2, current, 0])
    }
    const last = messages.at(-1)
    if (last !== undefined) last[2] += bytes.length
    const parts = channels.get(current) ?? []
    parts.push(bytes)
    channels.set(current, parts)
  }
  const takeBytes = (chunk: Buffer): void => {
    if (head.startsWith("HTTP/1.1 101")) return decoder.decode(chunk).forEach(take)
    raw = Buffer.concat([raw, chunk])
    const at = raw.indexOf("\r\n\r\n")
    if (head !== "" || at < 0) return
    head = raw.subarray(0, at + 4).toString("latin1")
    raw = raw.subarray(at + 4)
    if (head.startsWith("HTTP/1.1 101")) decoder.decode(raw).forEach(take)
    if (options.paused === true) socket.pause()
  }
  socket.on("data", takeBytes)
  socket.on("error", (cause: NodeJS.ErrnoException) => (end = cause.code ?? "error"))
  socket.on("end", () => (end = "fin"))

  const headers = {
    Host: cluster.url.host,
    Authorization: `Bearer ${options.token ?? Redacted.value(cluster.token)}`,
    ...(options.headers ?? handshake),
    ...(options.protocols === undefined ? {} : { "Sec-WebSocket-Protocol": options.protocols })
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(
    `${options.method ?? "GET"} ${options.path ?? pathOf(command, options)} HTTP/1.1\r\n${lines.join("")}\r\n`
  )
  yield* eventually(Effect.sync(() => head !== "" || end !== "none"), (done) => {
    if (!done) throw new Error("no answer")
  })

  const write = (bytes: Uint8Array): boolean => socket.writable && socket.write(bytes)
  const frame = (some: WebSocketFrame.Frame): boolean => write(WebSocketFrame.encode(some, mask))
  const message = (channel: number, bytes: Uint8Array): boolean =>
    frame({ opcode: WebSocketFrame.Opcode.Binary, prefix: channel, payload: bytes })
  const channel = (channel: number): Buffer => Buffer.concat(channels.get(channel) ?? [])
  const drained = Effect.callback<void>((resume) => {
    const forget = () => socket.off("drain", done).off("close", done)
    const done = (): void => {
      forget()
      resume(Effect.void)
    }
    socket.on("drain", done)
    socket.on("close", done)
    return Effect.sync(forget)
  })
  return {
    head,
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? 0),
    body: () => raw.toString("latin1"),
    channel,
    messages,
    events,
    closeCode: () => events.find((event) => event._tag === "Close")?.code,
    end: () => end,
    outcome: () => ExitStatus.parse(channel(3).toString()),
    send: (number, bytes) => message(number, typeof bytes === "string" ? Buffer.from(bytes) : bytes),
    frame,
    bytes: write,
    ping: (payload = "") => frame({ opcode: WebSocketFrame.Opcode.Ping, payload: Buffer.from(payload) }),
    close: (code = 1000) => write(WebSocketFrame.encodeClose(code, "", mask)),
    destroy: () => socket.destroy(),
    resume: () => socket.resume(),
    socket,
    ended: eventually(Effect.sync(() => end), (how) => {
      if (how === "none") throw new Error("the connection has not ended")
    }),
    feed: Effect.fnUntraced(function*(size) {
      for (let sent = 0; sent < size && !socket.destroyed; sent += 32_768) {
        if (!message(0, Buffer.alloc(Math.min(32_768, size - sent), 0x61)) && !socket.destroyed) yield* drained
      }
    })
  }
})

/** Opens an exec and waits until it has ended. */
export const run = Effect.fnUntraced(function*(
  cluster: Pick<TestCluster.Service, "url" | "token" | "ca">,
  command: ReadonlyArray<string>,
  options: Options = {}
): Effect.fn.Return<ExecClient, never, Scope.Scope> {
  const client = yield* open(cluster, command, { protocols: v5, ...options })
  yield* client.ended
  return client
})
