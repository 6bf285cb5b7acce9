/**
 * The benchmark server: just enough of an API server for the programs that are measured, in a process of its own.
 *
 * Started by the driver with an IPC channel. It gets its certificate, says where it listens, and then answers each
 * message with what it has seen since the last one. It knows everybody, until it is told to change tokens.
 */
import * as http from "node:http"
import * as http2 from "node:http2"
import type { AddressInfo, Socket } from "node:net"
import type { Duplex } from "node:stream"
import type { Order } from "../shared/Rotation.ts"
import type { ExecRecord, Ready, ServerRecord } from "../shared/Work.ts"
import * as ExecSession from "./ExecSession.ts"
import * as Resources from "./Resources.ts"
import * as Rotation from "./Rotation.ts"

const { BENCH_CERT: cert, BENCH_KEY: key } = process.env
if (cert === undefined || key === undefined || process.send === undefined) {
  throw new Error("The benchmark server is started by the driver: run `pnpm bench`.")
}

let connections = 0
let requests = 0
let execs: Array<ExecRecord> = []

let token: string | undefined
let rotation: Rotation.Rotation | undefined
// Commands that are started between two tokens, and those that were since the last one.
let commandsOfToken = Infinity
let commands = 0

const isKnown = (authorization: string | undefined): boolean =>
  token === undefined || authorization === `Bearer ${token}`

const unauthorized = Buffer.from(JSON.stringify({
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Failure",
  message: "Unauthorized",
  reason: "Unauthorized",
  code: 401
}))

interface Writable {
  readonly writeHead: (status: number, headers: Record<string, string | number>) => unknown
  readonly end: (body: Uint8Array) => unknown
}

interface Readable {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly headers: { readonly authorization?: string | undefined }
}

const answer = ({ headers, method, url = "" }: Readable, response: Writable): void => {
  requests++
  const isAccepted = isKnown(headers.authorization)
  rotation?.saw({ key: `${method} ${url}`, isUpgrade: false, isAccepted })
  if (!isAccepted) {
    response.writeHead(401, { "content-type": "application/json", "content-length": unauthorized.length })
    response.end(unauthorized)
    return
  }
  const found = Resources.answer(url.replace(/\?.*$/, ""))
  const body = found?.body ??
    Buffer.from("{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"code\":404}")
  response.writeHead(found === undefined ? 404 : 200, {
    "content-type": found?.contentType ?? "application/json",
    "content-length": body.length
  })
  response.end(body)
}

const upgrade = (request: http.IncomingMessage, socket: Duplex, head: Uint8Array): void => {
  requests++
  const isAccepted = isKnown(request.headers.authorization)
  // Each command has a URL of its own: the nonce of its supervisor.
  rotation?.saw({ key: `${request.method} ${request.url}`, isUpgrade: true, isAccepted })
  if (!isAccepted) {
    socket.on("error", () => {})
    socket.write(
      `HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: ${unauthorized.length}\r\n\r\n`
    )
    socket.end(unauthorized)
    return
  }
  ExecSession.run(request, socket, head, (record) => execs.push(record))
  commands++
  if (commands >= commandsOfToken && rotation?.rotate() === true) commands = 0
}

const plain = http.createServer(answer)
// As real API servers: HTTP/2 for requests, HTTP/1.1 for upgrades, and the server's own order of ciphers, which is Go's
// where the processor has AES, so that every client uses the same one.
const tls = http2.createSecureServer({
  cert,
  key,
  allowHTTP1: true,
  honorCipherOrder: true,
  ciphers: "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"
}, answer)

for (const server of [plain, tls]) {
  server.on("upgrade", upgrade)
  server.on(server === tls ? "secureConnection" : "connection", (socket: Socket) => {
    // As Go's servers do; of Node's only the plain ones do.
    socket.setNoDelay(true)
    connections++
  })
  server.on("sessionError", () => {})
}

// Go's servers let as many wait as the system does; with Node's 511, a thousand clients at once wait for repeated SYNs.
const backlog = 4096

const listen = (server: http.Server | http2.Http2SecureServer): Promise<number> =>
  new Promise((resolve) =>
    server.listen({ port: 0, host: "127.0.0.1", backlog }, () => resolve((server.address() as AddressInfo).port))
  )

const ready: Ready = { plainPort: await listen(plain), tlsPort: await listen(tls) }
process.send(ready)

let used = process.cpuUsage()
process.on("message", (order: Order) => {
  if (order._tag === "Rotate") {
    commandsOfToken = order.every
    rotation = Rotation.make(order.tokenFile, () => token = crypto.randomUUID())
  }
  const { system, user } = process.cpuUsage(used)
  used = process.cpuUsage()
  const cpuMillis = (system + user) / 1000
  const record: ServerRecord = { cpuMillis, connections, requests, execs, rotations: rotation?.take() }
  connections = 0
  requests = 0
  execs = []
  process.send?.(record)
})
// The driver's end is ours.
process.on("disconnect", () => process.exit(0))
