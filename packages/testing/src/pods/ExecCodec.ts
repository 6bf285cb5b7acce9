/**
 * The messages of each exec subprotocol as servers write and read them: channel byte and payload, or a digit and
 * base64.
 */
import * as ExitStatus from "@effect-k8s/channels/protocol/ExitStatus"
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as WebSocketFrame from "@effect-k8s/channels/protocol/WebSocketFrame"
import type { End } from "./ExecPipes.ts"

/** The subprotocols of the runtimes; the empty one is that of a client that names none. */
export const ofRuntime: ReadonlyArray<string> = [
  "",
  "channel.k8s.io",
  "base64.channel.k8s.io",
  RemoteCommand.v4,
  "v4.base64.channel.k8s.io"
]

/** One subprotocol, for one connection. */
export interface ExecCodec {
  /** The frame of a message. */
  readonly encode: (channel: number, bytes: Uint8Array) => WebSocketFrame.Frame
  /** What the next piece of a message means, if anything. */
  readonly read: (data: WebSocketFrame.Data) => RemoteCommand.ClientMessage | undefined
  /** What is said on channel 3 at the end, if anything. */
  readonly status: (end: End, command: ReadonlyArray<string>) => Uint8Array | undefined
}

const binary = (channel: number, bytes: Uint8Array): WebSocketFrame.Frame => ({
  opcode: WebSocketFrame.Opcode.Binary,
  prefix: channel,
  payload: bytes
})

const base64 = (channel: number, bytes: Uint8Array): WebSocketFrame.Frame => ({
  opcode: WebSocketFrame.Opcode.Text,
  payload: Buffer.from(`${channel}${Buffer.from(bytes).toString("base64")}`)
})

// Base64 of a part of a message is not that part of its bytes, so the message is put together first.
const makeBase64Reader = (): ExecCodec["read"] => {
  const reader = RemoteCommand.makeServerReader(RemoteCommand.v4)
  let parts: Array<Uint8Array> = []
  return (data) => {
    if (data.first) parts = []
    parts.push(data.payload)
    if (!data.last) return undefined
    const text = Buffer.concat(parts).toString("latin1")
    if (text === "") return undefined
    const channel = /^\d/.test(text) ? Number(text.charAt(0)) : 0xfe
    const payload = Buffer.concat([Uint8Array.of(channel), Buffer.from(text.slice(1), "base64")])
    return reader.read({ ...data, payload, first: true })
  }
}

const nonZero = "command terminated with non-zero exit code: "

const runtimeWords = (command: ReadonlyArray<string>, code: number): string =>
  `error executing command [${command.join(" ")}], exit code ${code}`

// Before v4 only failures are told, in words.
const inWords: ExecCodec["status"] = (end, command) => {
  if (end._tag !== "Exited") return Buffer.from(`Internal error occurred: ${end.message}`)
  return end.code === 0 ? undefined : Buffer.from(nonZero + runtimeWords(command, end.code))
}

const ofContainerd: ExecCodec["status"] = (end, command) =>
  end._tag === "Exited"
    ? ExitStatus.encodeExit(end.code, { wording: "containerd", command })
    : ExitStatus.encodeInternalError(end.message)

// The translator has the runtime's failure as a Status, whose words become a failure of its own.
const ofTranslator: ExecCodec["status"] = (end) =>
  end._tag === "Exited"
    ? ExitStatus.encodeExit(end.code)
    : ExitStatus.encodeInternalError(end._tag === "Failed" ? `Internal error occurred: ${end.message}` : end.message)

/** The codec of a subprotocol. */
export const make = (subprotocol: string): ExecCodec => {
  switch (subprotocol) {
    case RemoteCommand.v5:
      return { encode: binary, read: RemoteCommand.makeServerReader(RemoteCommand.v5).read, status: ofTranslator }
    case "v4.base64.channel.k8s.io":
      return { encode: base64, read: makeBase64Reader(), status: ofContainerd }
    case "base64.channel.k8s.io":
      return { encode: base64, read: makeBase64Reader(), status: inWords }
    case RemoteCommand.v4:
      return { encode: binary, read: RemoteCommand.makeServerReader(RemoteCommand.v4).read, status: ofContainerd }
    default:
      return { encode: binary, read: RemoteCommand.makeServerReader(RemoteCommand.v4).read, status: inWords }
  }
}
