/**
 * Connections of TCP, and those that notice a peer that is gone.
 */
import type * as Endpoint from "@effect-k8s/core/Endpoint"
import * as Net from "node:net"
import { deno, type TcpConn } from "./deno.ts"
import * as DuplexStream from "./duplexStream.ts"
import * as RawStream from "./rawStream.ts"

/** Most connections have come or been refused by then. */
const lateMillis = 1000
/** What undici and client-go do about peers that are gone without a word. */
const keepAliveMillis = 60_000

/**
 * A connection, whose caller has gone when the signal is aborted. Deno 2.9 loses a connection for good, open, that it is
 * told to give up just when it has come: so one that nobody wants any more is waited for a while before it is given up.
 */
const connectConn = async (at: Endpoint.Address, signal: AbortSignal): Promise<TcpConn> => {
  const givenUp = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  const onAbort = (): void => {
    timer = setTimeout(() => givenUp.abort(), lateMillis)
  }
  signal.addEventListener("abort", onAbort)
  try {
    return await deno.connect({ hostname: at.host, port: at.port, signal: givenUp.signal })
  } finally {
    signal.removeEventListener("abort", onAbort)
    clearTimeout(timer)
  }
}

/** Connects; small writes are not held back. Whether the peer is still there is for others to find out, as by pings. */
export const connect = async (at: Endpoint.Address, signal: AbortSignal): Promise<RawStream.RawStream> => {
  const conn = await connectConn(at, signal)
  conn.setNoDelay(true)
  conn.setKeepAlive(true)
  return RawStream.fromConn(conn)
}

/**
 * The same, with probes when the peer is silent for a minute, so that reading fails when it is gone. By `node:net`, because
 * the probes of a connection of Deno begin when the system says: after two hours.
 */
export const connectProbed = (at: Endpoint.Address, signal: AbortSignal): Promise<RawStream.RawStream> =>
  new Promise((resolve, reject) => {
    const socket = Net.connect({
      ...at,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveMillis
    })
    const onAbort = (): void => void socket.destroy()
    signal.addEventListener("abort", onAbort)
    socket.on("close", () => reject(new Error("the connection was closed")))
    socket.on("error", (cause) => {
      socket.destroy()
      // Of a name that it may not look up node:net does not say what Deno does, which refuses it before it connects.
      if (isForbidden(cause)) connect(at, signal).then(({ destroy }) => (destroy(), reject(cause)), reject)
      else reject(cause)
    })
    socket.on("connect", () => {
      signal.removeEventListener("abort", onAbort)
      resolve({ ...DuplexStream.make(socket), giveBack: RawStream.release })
    })
  })

const isForbidden = (cause: Error): boolean => "code" in cause && cause.code === "EPERM"
