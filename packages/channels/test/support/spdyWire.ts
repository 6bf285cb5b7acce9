/**
 * The server's end of SPDY for `execServer`, from the pure modules in the server's role.
 */
import * as RemoteCommand from "@effect-k8s/channels/protocol/RemoteCommand"
import * as SpdyFrame from "@effect-k8s/channels/protocol/SpdyFrame"
import * as SpdyHeaders from "@effect-k8s/channels/protocol/SpdyHeaders"
import * as SpdyStreams from "@effect-k8s/channels/protocol/SpdyStreams"
import type { Sent } from "./execServer.ts"

const { Channel } = RemoteCommand
const channels: Readonly<Record<string, number>> = {
  error: Channel.Status,
  stdin: Channel.Stdin,
  stdout: Channel.Stdout,
  stderr: Channel.Stderr,
  resize: Channel.Resize
}

/** What a server says and hears over SPDY. It refuses streams of one type, if told. */
export const make = (refuses?: string) => {
  const streams = SpdyStreams.make({ role: "server", answersPings: false })
  const channelOf = new Map<number, number>()
  const streamOf = (channel: number): number => [...channelOf].find(([, other]) => other === channel)?.[0] ?? Number.NaN
  const pings: Array<number> = []
  return {
    streamOf,
    /** How many streams the client has opened. */
    streams: (): number => channelOf.size,
    message: (channel: number, bytes: Uint8Array): Uint8Array => SpdyFrame.encodeData(streamOf(channel), bytes),
    ping: (): Uint8Array => streams.ping(),
    pong: (): Uint8Array => SpdyFrame.encodePing(pings.at(-1) ?? 1),
    endOutputs: (): Uint8Array =>
      Buffer.concat([1, 2].map((channel) => streams.end(streamOf(channel)) ?? new Uint8Array(0))),
    goodbye: (): Uint8Array =>
      Buffer.concat([
        ...Array.from(channelOf.keys(), (stream) => streams.reset(stream, SpdyFrame.Reset.Cancel) ?? new Uint8Array(0)),
        streams.goAway()
      ]),
    /** What the bytes say, and what is answered to new streams. */
    take: (chunk: Uint8Array): { readonly sent: ReadonlyArray<Sent>; readonly answers: Uint8Array } => {
      const sent: Array<Sent> = []
      const answers: Array<Uint8Array> = []
      for (const event of streams.receive(chunk)) {
        switch (event._tag) {
          case "Opened":
            channelOf.set(event.stream, channels[SpdyHeaders.get(event.headers, "streamtype") ?? ""] ?? 9)
            answers.push(
              refuses !== undefined && SpdyHeaders.get(event.headers, "streamtype") === refuses
                ? streams.reset(event.stream, SpdyFrame.Reset.RefusedStream) ?? new Uint8Array(0)
                : streams.reply(event.stream)
            )
            break
          case "Data": {
            const channel = channelOf.get(event.stream)
            if (channel === Channel.Stdin) sent.push({ _tag: "Stdin", bytes: event.bytes.slice() })
            else if (channel === Channel.Resize) {
              sent.push({ _tag: "Resize", text: new TextDecoder().decode(event.bytes) })
            } else sent.push({ _tag: "Violation", message: `channel ${channel}` })
            break
          }
          case "Ended":
            if (channelOf.get(event.stream) === Channel.Stdin) sent.push({ _tag: "StdinEnded" })
            break
          case "Ping":
            pings.push(event.id)
            sent.push({ _tag: "Ping" })
            break
          case "Pong":
            sent.push({ _tag: "Pong" })
            break
          case "GoAway":
            sent.push({ _tag: "Close", code: undefined })
            break
          case "Violation":
            sent.push({ _tag: "Violation", message: event.error.message })
            break
          case "Reset":
          case "Replied":
          case "Window":
        }
      }
      return { sent, answers: Buffer.concat(answers) }
    }
  }
}
