/**
 * Tunnels through an HTTP proxy (RFC 9110 9.3.6).
 */
import type { Address, Proxy } from "@effect-k8s/core/Endpoint"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Duplex } from "node:stream"

const headEnd = "\r\n\r\n"
const headLimit = 64 * 1024

/** What the proxy answered to CONNECT. */
export type Answer = { readonly status: number } | { readonly cause: Error }

const request = ({ password, username }: Proxy, { host, port }: Address): string => {
  const target = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
  const lines = [`CONNECT ${target} HTTP/1.1`, `Host: ${target}`]
  if (username !== undefined) {
    const credentials = `${username}:${password === undefined ? "" : Redacted.value(password)}`
    lines.push(`Proxy-Authorization: Basic ${Buffer.from(credentials).toString("base64")}`)
  }
  return lines.join("\r\n") + headEnd
}

/**
 * Asks the proxy at the other end of `stream` for a tunnel to `address`. With a status of 2xx the stream is the tunnel.
 * An interruption destroys the stream.
 */
export const open = (stream: Duplex, proxy: Proxy, address: Address): Effect.Effect<Answer> =>
  Effect.callback((resume) => {
    let head = Buffer.alloc(0)
    const settle = (answer: Answer): void => {
      stream.off("readable", onReadable).off("error", onError).off("end", onEnd).off("close", onEnd)
      resume(Effect.succeed(answer))
    }
    const onError = (cause: Error): void => settle({ cause })
    const onEnd = (): void => settle({ cause: new Error("the connection ended without an answer to CONNECT") })
    const onReadable = (): void => {
      const chunk: Buffer | null = stream.read()
      if (chunk === null) return
      head = Buffer.concat([head, chunk])
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(head.subarray(0, 16).toString("latin1"))?.[1]
      if (status === undefined && head.length >= "HTTP/1.1 200".length || head.length > headLimit) {
        return settle({ cause: new Error("the answer to CONNECT was not HTTP") })
      }
      const end = head.indexOf(headEnd)
      if (end === -1) return
      // What follows is the server's.
      const rest = head.subarray(end + headEnd.length)
      settle({ status: Number(status) })
      if (rest.length > 0) stream.unshift(rest)
    }
    stream.on("readable", onReadable).on("error", onError).on("end", onEnd).on("close", onEnd)
    stream.write(request(proxy, address))
    return Effect.sync(() => void stream.destroy())
  })
