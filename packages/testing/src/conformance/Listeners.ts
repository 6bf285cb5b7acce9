/**
 * What answers in place of a cluster, for rows on wrong addresses: other servers on the loopback, and none.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import * as Certificates from "../server/Certificates.ts"
import * as HttpFrontend from "../server/HttpFrontend.ts"

/** A listener that is no HTTP server. */
export interface Listener {
  readonly port: number
  /** Connections so far. */
  readonly connections: () => number
}

/** Says this to whoever connects, and ends the connection. */
export const saying = (greeting: string): Effect.Effect<Listener, never, Scope.Scope> =>
  Effect.gen(function*() {
    let connections = 0
    const server = yield* Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        const server = Net.createServer((socket) => {
          connections++
          socket.on("error", () => socket.destroy())
          socket.end(greeting)
          socket.resume()
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
        })
    )
    const address = server.address()
    return { port: typeof address === "object" && address !== null ? address.port : 0, connections: () => connections }
  })

/** A web server that knows nothing of what it is asked for. */
export const website: Effect.Effect<URL, never, Scope.Scope> = Effect.map(
  HttpFrontend.make({
    handler: () =>
      Effect.succeed({
        _tag: "Body",
        status: 404,
        headers: { "Content-Type": "text/html" },
        body: "<html><h1>Nothing here</h1></html>"
      })
  }),
  ({ url }) => url
)

/** A server with a certificate, which has expired if so asked, and the authority to trust. */
export const certified = Effect.fnUntraced(function*(
  options: { readonly expired?: boolean | undefined } = {}
): Effect.fn.Return<{ readonly url: URL; readonly ca: string }, never, Scope.Scope> {
  const authority = yield* Certificates.make
  const identity = yield* authority.issueServer(["127.0.0.1"], options)
  const { url } = yield* HttpFrontend.make({
    handler: () => Effect.succeed({ _tag: "Body", status: 200, headers: {}, body: "{}" }),
    tls: { identity, clientAuthority: authority.cert }
  })
  return { url, ca: authority.cert }
})
