/**
 * Environment variables, through Effect's `ConfigProvider`.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { EnvironmentUnreadable, KubeConfigError } from "../KubeConfigError.ts"

/**
 * The value of a variable. One that is empty is not set. Deno without permission to read the environment throws inside
 * the default provider; that is an error like any other here.
 */
export const variable = Effect.fnUntraced(function*(
  name: string
): Effect.fn.Return<string | undefined, KubeConfigError> {
  const unreadable = (cause: unknown): KubeConfigError =>
    new KubeConfigError({ reason: new EnvironmentUnreadable({ variable: name, cause }) })
  const value = yield* Config.option(Config.String(name)).pipe(
    Effect.mapError((error) => unreadable(error.cause)),
    Effect.catchDefect((defect) => Effect.fail(unreadable(defect)))
  )
  return Option.getOrUndefined(Option.filter(value, (text) => text !== ""))
})
