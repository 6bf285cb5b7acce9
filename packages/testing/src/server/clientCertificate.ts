/**
 * Who a client certificate says that the client is.
 */
import type { Duplex } from "node:stream"
import { type PeerCertificate, TLSSocket } from "node:tls"
import type { ServerRequest } from "./Exchange.ts"

/** The user and the groups of a certificate that was verified; nothing without one. */
export const clientCertificate = (socket: Duplex): ServerRequest["certificate"] => {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  // Node before 24 calls a resumed session authorised that has no certificate.
  const { subject }: Partial<PeerCertificate> = socket.getPeerCertificate()
  if (subject === undefined) return undefined
  // A repeated attribute comes as an array, whatever its type says.
  const organisations: string | ReadonlyArray<string> | undefined = subject.O
  const groups = organisations === undefined
    ? []
    : typeof organisations === "string"
    ? [organisations]
    : organisations
  return { user: String(subject.CN), groups }
}
