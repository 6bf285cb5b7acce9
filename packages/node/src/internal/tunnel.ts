/**
 * Tunnels through a proxy: CONNECT of HTTP (RFC 9110 9.3.6), and SOCKS5 (RFC 1928).
 */
import type { Address, Proxy } from "@effect-k8s/core/Endpoint"
import * as Socks5 from "@effect-k8s/core/Socks5"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Duplex } from "node:stream"

const headEnd = "\r\n\r\n"
const headLimit = 64 * 1024

/** Why there is no tunnel: the status that the proxy answered to CONNECT, or what happened instead. */
export type Refusal = { readonly status: number } | { readonly cause: Error }

/** What to send, if anything, and whether the proxy has decided. `rest` is what the server has said already. */
type Step =
  & { readonly send?: Uint8Array | undefined }
  & (
    | { readonly _tag: "Pending" }
    | { readonly _tag: "Open"; readonly rest: Uint8Array }
    | { readonly _tag: "Refused"; readonly refusal: Refusal }
  )

interface Negotiation {
  readonly start: () => Step
  readonly push: (bytes: Buffer) => Step
  /** Said when the connection ends before the proxy has decided. */
  readonly ended: string
}

const because = (message: string): Step => ({ _tag: "Refused", refusal: { cause: new Error(message) } })

const connectRequest = ({ password, username }: Proxy, { host, port }: Address): string => {
  const target = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
  const lines = [`CONNECT ${target} HTTP/1.1`, `Host: ${target}`]
  if (username !== undefined) {
    const credentials = `${username}:${password === undefined ? "" : Redacted.value(password)}`
    lines.push(`Proxy-Authorization: Basic ${Buffer.from(credentials).toString("base64")}`)
  }
  return lines.join("\r\n") + headEnd
}

const byConnect = (proxy: Proxy, address: Address): Negotiation => {
  let head = Buffer.alloc(0)
  return {
    ended: "the connection ended without an answer to CONNECT",
    start: () => ({ _tag: "Pending", send: Buffer.from(connectRequest(proxy, address)) }),
    push: (bytes) => {
      head = Buffer.concat([head, bytes])
      const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head.subarray(0, 16).toString("latin1"))?.[1])
      if (Number.isNaN(status) && head.length >= "HTTP/1.1 200".length || head.length > headLimit) {
        return because("the answer to CONNECT was not HTTP")
      }
      const end = head.indexOf(headEnd)
      if (end === -1) return { _tag: "Pending" }
      return status >= 200 && status <= 299
        ? { _tag: "Open", rest: head.subarray(end + headEnd.length) }
        : { _tag: "Refused", refusal: { status } }
    }
  }
}

const bySocks = (proxy: Proxy, address: Address): Negotiation => {
  const negotiation = new Socks5.Negotiation(proxy, address)
  const step = (next: Socks5.Step): Step => next._tag === "Refused" ? { ...because(next.why), send: next.send } : next
  return {
    ended: Socks5.ended,
    start: () => step(negotiation.start()),
    push: (bytes) => step(negotiation.push(bytes))
  }
}

/**
 * Asks the proxy at the other end of `stream` for a tunnel to `address`, as the scheme of its URL says. After a success
 * the stream is the tunnel. An interruption destroys the stream.
 */
export const open = (stream: Duplex, proxy: Proxy, address: Address): Effect.Effect<void, Refusal> =>
  Effect.callback((resume) => {
    const negotiation = (proxy.url.protocol === "socks5:" ? bySocks : byConnect)(proxy, address)
    const settle = (result: Effect.Effect<void, Refusal>): void => {
      stream.off("readable", onReadable).off("error", onError).off("end", onEnd).off("close", onEnd)
      resume(result)
    }
    const onError = (cause: Error): void => settle(Effect.fail({ cause }))
    const onEnd = (): void => onError(new Error(negotiation.ended))
    const take = (step: Step): void => {
      if (step.send !== undefined && step.send.length > 0) stream.write(step.send)
      if (step._tag === "Refused") settle(Effect.fail(step.refusal))
      if (step._tag !== "Open") return
      settle(Effect.void)
      if (step.rest.length > 0) stream.unshift(step.rest)
    }
    const onReadable = (): void => {
      const chunk: Buffer | null = stream.read()
      if (chunk !== null) take(negotiation.push(chunk))
    }
    stream.on("readable", onReadable).on("error", onError).on("end", onEnd).on("close", onEnd)
    take(negotiation.start())
    return Effect.sync(() => void stream.destroy())
  })
