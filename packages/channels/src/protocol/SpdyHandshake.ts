/**
 * The upgrade of a request to SPDY/3.1 (protocol reference 3.1): what a client asks, what a server answers, and what each
 * makes of the other.
 */
import { ProtocolError } from "./ProtocolError.ts"

/** The name of the protocol in the `Upgrade` header. */
export const upgradeName = "SPDY/3.1"

/** The header that names subprotocols. */
export const versionHeader = "x-stream-protocol-version"

/** Where a refusing server lists what it would have taken. */
export const acceptedHeader = "x-accepted-stream-protocol-versions"

/** The headers that ask for the upgrade. The request is a POST. */
export const requestHeaders = (protocols: ReadonlyArray<string>): Readonly<Record<string, string>> => ({
  connection: "Upgrade",
  upgrade: upgradeName,
  [versionHeader]: protocols.join(", ")
})

/** The headers of a 101. */
export const responseHeaders = (protocol: string): Readonly<Record<string, string>> => ({
  "Connection": "Upgrade",
  "Upgrade": upgradeName,
  "X-Stream-Protocol-Version": protocol
})

/** The answer to a handshake is one to this handshake, and this was chosen. */
export interface Accepted {
  readonly _tag: "Accepted"
  readonly subprotocol: string
}

/** It is not. */
export interface Rejected {
  readonly _tag: "Rejected"
  readonly error: ProtocolError
}

const hasWord = (value: string | undefined, word: string): boolean =>
  (value ?? "").toLowerCase().split(",").some((part) => part.trim() === word)

/** Checks the headers of a 101 (their names in lower case) against what was offered. */
export const checkResponse = (
  headers: Readonly<Record<string, string | undefined>>,
  offered: ReadonlyArray<string>
): Accepted | Rejected => {
  const rejected = (message: string): Rejected => ({ _tag: "Rejected", error: new ProtocolError(1002, message) })
  if (!hasWord(headers["connection"], "upgrade")) {
    return rejected("The server's 101 has no Connection: Upgrade; a proxy may have changed it")
  }
  if (!hasWord(headers["upgrade"], upgradeName.toLowerCase())) {
    return rejected(`The server upgraded to ${headers["upgrade"] ?? "nothing"} instead of ${upgradeName}`)
  }
  const subprotocol = headers[versionHeader]?.trim() ?? ""
  return offered.includes(subprotocol)
    ? { _tag: "Accepted", subprotocol }
    : rejected(
      subprotocol === ""
        ? "The server chose none of the protocols offered"
        : `The server chose the protocol ${subprotocol}, which was not offered`
    )
}

/** Whether a request asks for SPDY, given its headers by name in lower case. */
export const isUpgradeRequest = (headers: ReadonlyMap<string, ReadonlyArray<string>>): boolean =>
  (headers.get("connection") ?? []).some((value) => hasWord(value, "upgrade")) &&
  (headers.get("upgrade") ?? []).some((value) => hasWord(value, upgradeName.toLowerCase()))

/** The subprotocols that a request offers, in its order: the header may be repeated, and hold several. */
export const offered = (headers: ReadonlyMap<string, ReadonlyArray<string>>): ReadonlyArray<string> =>
  (headers.get(versionHeader) ?? []).flatMap((value) => value.split(",")).map((name) => name.trim()).filter((name) =>
    name !== ""
  )
