/**
 * An independent client: Node's own, over TLS, one connection a request unless an agent is given.
 */
import * as Effect from "effect/Effect"
import * as Http from "node:http"
import * as Https from "node:https"

export interface Response {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}

export interface Options extends Https.RequestOptions {
  readonly body?: string | undefined
  readonly token?: string | undefined
  /** Is given the text so far, each time that more has come. */
  readonly onData?: ((text: string) => void) | undefined
}

/** Sends a request and gives the whole answer. An answer that breaks off fails. Interruption ends the connection. */
export const request = (url: URL, { body, onData, token, ...options }: Options = {}): Effect.Effect<Response, Error> =>
  Effect.callback((resume) => {
    const fail = (cause: Error) => resume(Effect.fail(cause))
    const outgoing = (url.protocol === "https:" ? Https : Http).request(
      url,
      { agent: false, ...options },
      (incoming) => {
        let text = ""
        incoming.on("data", (chunk: Buffer) => {
          text += chunk.toString()
          onData?.(text)
        })
        incoming.on("error", fail)
        incoming.on(
          "end",
          () => resume(Effect.succeed({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: text }))
        )
      }
    )
    if (token !== undefined) outgoing.setHeader("Authorization", `Bearer ${token}`)
    outgoing.on("error", fail)
    outgoing.end(body)
    return Effect.sync(() => outgoing.destroy())
  })
