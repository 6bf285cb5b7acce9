/**
 * Environment variables, through Effect's `ConfigProvider`.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { EnvironmentUnreadable, KubeConfigError } from "../KubeConfigError.ts"

/** The value of a variable. One that is empty is not set. */
export const variable = Effect.fnUntraced(function*(
  name: string
): Effect.fn.Return<string | undefined, KubeConfigError> {
  const value = yield* Effect.mapError(
    Config.option(Config.String(name)),
    (cause) => new KubeConfigError({ reason: new EnvironmentUnreadable({ variable: name, cause }) })
  )
  return Option.getOrUndefined(Option.filter(value, (text) => text !== ""))
})
