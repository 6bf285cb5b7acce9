/**
 * What servers say to an upgrade, whatever it is for: refusals, the answer to a WebSocket's key, and who may ask.
 */
import * as WebSocketHandshake from "@effect-k8s/channels/protocol/WebSocketHandshake"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import { STATUS_CODES } from "node:http"
import type { ServerResponse } from "../server/Exchange.ts"
import type { SubresourceContext } from "../server/Subresources.ts"
import * as Failure from "../store/Failure.ts"
import * as Era from "./Era.ts"

/** Since 1.35 whoever opens one by GET may also have to create one. The refusal gives no reason. */
export const checkCreate = (
  era: Era.Era,
  { authorizer, info, row, user }: SubresourceContext
): Effect.Effect<void, Failure.Failure> => {
  if (!Era.facts[era].getNeedsCreate || info.verb === "create") return Effect.void
  if (authorizer.isAllowed(user, { ...info, verb: "create" })) return Effect.void
  const name = info.name ?? ""
  return Effect.fail(Failure.forbidden(row, name, `${Failure.qualified(row)} "${name}" is forbidden: `))
}

/** The value of `Sec-WebSocket-Accept` (RFC 6455 4.2.2). */
export const accept = (key: string): string =>
  createHash("sha1").update(WebSocketHandshake.acceptInput(key)).digest("base64")

/** An answer in plain text. */
export const text = (
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {}
): ServerResponse => ({
  _tag: "Body",
  status,
  headers: { "Content-Type": "text/plain; charset=utf-8", ...headers },
  body
})

/** Go's WebSocket server writes its refusals by hand: no length, no date, and the connection ends. */
export const raw = (status: number, headers: Readonly<Record<string, string>>, body = ""): ServerResponse => {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n${lines.join("")}\r\n`
  return { _tag: "Raw", bytes: new TextEncoder().encode(head + body), end: "fin" }
}
