/**
 * Who is asking: a bearer token, a client certificate, or somebody they may act as.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Failure from "../store/Failure.ts"
import type { Authorizer, UserInfo } from "./Authorization.ts"
import * as Authorization from "./Authorization.ts"
import type { BodyResponse, ServerRequest } from "./Exchange.ts"
import { decodePart } from "./RequestInfo.ts"
import * as Respond from "./Respond.ts"

/** Knows tokens. */
export interface Authenticator {
  /** Who is asking, without regard to impersonation; nothing for somebody unknown. */
  readonly identify: (request: ServerRequest) => UserInfo | undefined
  /** Makes a token known. */
  readonly addToken: (token: string, user: UserInfo) => void
  /** Makes a token known in the place of another, which is unknown from then on; nothing where that is not known. */
  readonly replaceToken: (former: string, token: string) => void
}

const bearerProtocol = "base64url.bearer.authorization.k8s.io."

/** The subprotocols that a WebSocket client offers. */
export const offered = (request: ServerRequest): ReadonlyArray<string> =>
  (request.headers.get("sec-websocket-protocol") ?? [])
    .flatMap((value) => value.split(","))
    .map((value) => value.trim())
    .filter((value) => value !== "")

// For browsers, which cannot set headers: the token as one more subprotocol, never the only one (protocol reference 6.4).
const protocolToken = (request: ServerRequest): string | undefined => {
  if (request.headers.get("upgrade")?.[0]?.toLowerCase() !== "websocket") return undefined
  const protocols = offered(request)
  const tokens = protocols.filter((protocol) => protocol.startsWith(bearerProtocol))
  if (tokens.length !== 1 || protocols.length < 2) return undefined
  return Option.getOrUndefined(decodeToken(tokens[0]?.slice(bearerProtocol.length) ?? ""))
}

const decodeToken = Option.liftThrowable((text: string): string => {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"))
  return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(binary, (char) => char.charCodeAt(0)))
})

/** The request without a token among its subprotocols: nobody behind the authentication sees it. */
export const withoutToken = (request: ServerRequest): ServerRequest => {
  const protocols = offered(request)
  const others = protocols.filter((protocol) => !protocol.startsWith(bearerProtocol))
  if (others.length === protocols.length) return request
  return { ...request, headers: new Map(request.headers).set("sec-websocket-protocol", [others.join(", ")]) }
}

// Node gives the bytes of a header value as characters; Go, and so a real server, reads them as UTF-8.
const textOf = (value: string): string => decoder.decode(Uint8Array.from(value, (char) => char.charCodeAt(0)))
const decoder = new TextDecoder()

/** Knows these tokens, and believes every client certificate that the frontend has verified. */
export const make = (known: ReadonlyMap<string, UserInfo>): Authenticator => {
  const tokens = new Map(known)
  const authenticated = (user: UserInfo): UserInfo => ({ ...user, groups: [...user.groups, "system:authenticated"] })
  const withToken = (token: string): UserInfo | undefined => {
    const user = tokens.get(token)
    return user === undefined ? undefined : authenticated(user)
  }
  return {
    identify: (request) => {
      const { certificate } = request
      if (certificate !== undefined) {
        return authenticated({ name: certificate.user, groups: certificate.groups })
      }
      const bearer = /^Bearer +(\S+)$/i.exec(textOf(request.headers.get("authorization")?.[0] ?? ""))?.[1]
      const token = bearer ?? protocolToken(request)
      return token === undefined ? undefined : withToken(token)
    },
    addToken: (token, user) => {
      tokens.set(token, user)
    },
    replaceToken: (former, token) => {
      const user = tokens.get(former)
      if (user === undefined) return
      tokens.delete(former)
      tokens.set(token, user)
    }
  }
}

const extraPrefix = "impersonate-extra-"

/**
 * Whom the request acts as, if the one who asks may. Fails with 403 when not, and with the bare 500 of a real server
 * when there are groups and nobody to be in them.
 */
export const impersonate = (
  user: UserInfo,
  request: ServerRequest,
  authorizer: Authorizer
): Result.Result<UserInfo, BodyResponse> => {
  const all = (name: string): ReadonlyArray<string> => (request.headers.get(name) ?? []).map(textOf)
  const first = (name: string): string | undefined => all(name)[0]
  const name = first("impersonate-user")
  const uid = first("impersonate-uid")
  const groups = all("impersonate-group")
  const extra: Record<string, ReadonlyArray<string>> = {}
  for (const [header, values] of request.headers) {
    if (header.startsWith(extraPrefix)) extra[decodePart(header.slice(extraPrefix.length))] = values.map(textOf)
  }
  if (name === undefined) {
    if (groups.length === 0 && uid === undefined && Object.keys(extra).length === 0) return Result.succeed(user)
    const asked = [
      ...groups.map((group) => `{Group  ${group}    }`),
      ...(uid === undefined ? [] : [`{UID  ${uid}  authentication.k8s.io/v1  }`])
    ]
    return Result.fail(
      Respond.text(
        500,
        `Internal Server Error: "${request.url.pathname}": requested [${
          asked.join(" ")
        }] without impersonating a user\n`
      )
    )
  }
  const wanted = [
    { group: "", resource: "users", name },
    ...groups.map((name) => ({ group: "", resource: "groups", name })),
    ...(uid === undefined ? [] : [{ group: "authentication.k8s.io", resource: "uids", name: uid }]),
    ...Object.entries(extra).flatMap(([key, values]) =>
      values.map((name) => ({ group: "authentication.k8s.io", resource: "userextras", subresource: key, name }))
    )
  ]
  for (const one of wanted) {
    const attributes = { verb: "impersonate", ...one }
    if (!authorizer.isAllowed(user, attributes)) {
      return Result.fail(Respond.failure(Authorization.refusal(user, attributes)))
    }
  }
  return Result.succeed({ name, uid, groups: [...groups, "system:authenticated"], extra })
}

/** The refusal of somebody unknown. */
export const refused: BodyResponse = Respond.failure(Failure.unauthorized)
