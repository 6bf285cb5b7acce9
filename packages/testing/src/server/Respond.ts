/**
 * Answers as a real API server writes them: JSON with a newline at its end.
 */
import { createHash } from "node:crypto"
import * as Failure from "../store/Failure.ts"
import type { JsonObject } from "../store/Json.ts"
import * as Json from "../store/Json.ts"
import type { BodyResponse } from "./Exchange.ts"

/** A JSON answer. */
export const json = (
  status: number,
  body: JsonObject,
  headers: Readonly<Record<string, string>> = {}
): BodyResponse => ({
  _tag: "Body",
  status,
  headers: { "Content-Type": "application/json", ...headers },
  body: `${JSON.stringify(body)}\n`
})

/** A text answer, as given. */
export const text = (status: number, body: string): BodyResponse => ({
  _tag: "Body",
  status,
  headers: { "Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff" },
  body
})

/** What Go's router answers for a path that nobody serves. */
export const pageNotFound: BodyResponse = text(404, "404 page not found\n")

/** The `Status` of a failure, with the headers that go with it. */
export const failure = ({ status }: Failure.Failure): BodyResponse => {
  const retryAfter = Json.number(Json.get(status.details, "retryAfterSeconds"))
  return json(status.code, Failure.toJson(status), {
    ...(status.code === 403 ? { "X-Content-Type-Options": "nosniff" } : {}),
    ...(retryAfter === undefined ? {} : { "Retry-After": String(retryAfter) })
  })
}

/** The `Status` of a success: what most deletes answer. */
export const success = (details?: JsonObject): JsonObject => ({
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Success",
  ...(details === undefined ? {} : { details })
})

/** What a real server tells contents apart by: SHA-512 in upper case. */
export const hash = (content: string | Uint8Array): string =>
  createHash("sha512").update(content).digest("hex").toUpperCase()
