import {
  applyDecorators,
  Body,
  Controller,
  ForbiddenException,
  Header,
  HttpCode,
  Post,
  SetMetadata,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  Idempotent,
  IdempotencyKey,
  IdempotentOp,
  IdempotentOperation,
  type IdempotencyModuleOptions,
} from 'nestjs-idempotent';
import { platforms, start } from './support/apps.js';
import { expectReplayOf, send } from './support/requests.js';

let runs = 0;

beforeEach(() => {
  runs = 0;
});

/** What many decorators of other libraries do: a function over the method, and its metadata left behind. */
function Wrap(): MethodDecorator {
  return (_target, _name, descriptor) => {
    const original = descriptor.value as unknown as (...args: unknown[]) => unknown;
    const wrapper = async function (this: unknown, ...args: unknown[]) {
      return original.apply(this, args);
    };
    return { ...descriptor, value: wrapper as never };
  };
}

/** The same, with the metadata copied, as well-behaved ones do. */
function WrapWell(): MethodDecorator {
  return (target, name, descriptor) => {
    const original = descriptor.value as unknown as object;
    const result = Wrap()(target, name, descriptor) ?? descriptor;
    for (const key of Reflect.getOwnMetadataKeys(original) as unknown[]) {
      Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, original), result.value as unknown as object);
    }
    return result;
  };
}

class NeedsRole implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    if (Reflect.getMetadata('role', context.getHandler()) !== 'clerk') throw new ForbiddenException();
    return true;
  }
}

const others = () =>
  applyDecorators(
    HttpCode(202),
    Header('X-Kind', 'order'),
    SetMetadata('role', 'clerk'),
    UseGuards(NeedsRole),
  );

const create = { run: () => ({ run: (runs += 1) }) };

@Controller('above')
class Above {
  @Idempotent()
  @Post()
  @HttpCode(202)
  @Header('X-Kind', 'order')
  @SetMetadata('role', 'clerk')
  @UseGuards(NeedsRole)
  create() {
    return create.run();
  }
}
@Controller('below')
class Below {
  @Post()
  @HttpCode(202)
  @Header('X-Kind', 'order')
  @SetMetadata('role', 'clerk')
  @UseGuards(NeedsRole)
  @Idempotent()
  create() {
    return create.run();
  }
}
@Controller('between')
class Between {
  @HttpCode(202)
  @SetMetadata('role', 'clerk')
  @Idempotent()
  @UseGuards(NeedsRole)
  @Header('X-Kind', 'order')
  @Post()
  create() {
    return create.run();
  }
}
@Controller('composed')
class Composed {
  @applyDecorators(Post(), Idempotent(), others())
  create() {
    return create.run();
  }
}
@Controller('wrapped-below')
class WrappedBelow {
  @Post()
  @others()
  @Idempotent()
  @Wrap()
  create() {
    return create.run();
  }
}
@Controller('wrapped-well-above')
class WrappedWellAbove {
  @WrapWell()
  @Idempotent()
  @others()
  @Post()
  create() {
    return create.run();
  }
}
@Controller('wrapped-above')
class WrappedAbove {
  @Post()
  @others()
  @Wrap()
  @Idempotent()
  create() {
    return create.run();
  }
}
@Controller('bound')
class Bound {
  constructor() {
    // Method metadata is lost with it, as on every Nest app: no guard, no status, no header.
    this.create = this.create.bind(this);
  }
  @Post()
  @Idempotent()
  create() {
    return create.run();
  }
}

describe.each(platforms)('@Idempotent() among other decorators on %s', (platform) => {
  it.each([Above, Below, Between, Composed, WrappedBelow, WrappedWellAbove, WrappedAbove])(
    'protects %p, whose other decorators do what they do without it',
    async (controller) => {
      const app = await start(platform, { controllers: [controller] });
      const path = `/${Reflect.getMetadata('path', controller) as string}`;

      const first = await send(app, path, { key: 'k' });

      expect({ status: first.status, json: first.json }).toEqual({ status: 202, json: { run: 1 } });
      expect(first.headers.get('x-kind')).toBe('order');
      expectReplayOf(first, await send(app, path, { key: 'k' }));
      expect(runs).toBe(1);
    },
  );

  it('protects a method that the constructor binds', async () => {
    const app = await start(platform, { controllers: [Bound] });

    expectReplayOf(await send(app, '/bound', { key: 'k' }), await send(app, '/bound', { key: 'k' }));
  });

  it.each([Above, Below, Between, Composed, WrappedBelow, WrappedWellAbove])(
    'protects %p with `interceptor: decorated` too',
    async (controller) => {
      const app = await start(platform, { controllers: [controller], options: { interceptor: 'decorated' } });
      const path = `/${Reflect.getMetadata('path', controller) as string}`;

      expectReplayOf(await send(app, path, { key: 'k' }), await send(app, path, { key: 'k' }));
    },
  );

  it.each([WrappedAbove, Bound])(
    'refuses %p at boot with `interceptor: decorated`, for nothing would protect it',
    async (controller) => {
      const options: IdempotencyModuleOptions = { interceptor: 'decorated' };

      await expect(start(platform, { controllers: [controller], options })).rejects.toThrow(
        /another decorator, or the constructor, .* Write @Idempotent\(\) above that decorator, or remove `interceptor`/,
      );
    },
  );

  it('refuses at boot a function over the method that hides that it is a route', async () => {
    @Controller('hidden')
    class Hidden {
      @Wrap()
      @Idempotent()
      @Post()
      create() {
        return create.run();
      }
    }

    await expect(start(platform, { controllers: [Hidden] })).rejects.toThrow(
      /Hidden\.create: no interceptor reaches this method, because it is neither a route/,
    );
  });
});

describe('a decorated method that is called directly', () => {
  class Orders {
    private readonly prefix = 'order';

    @Post()
    @Idempotent()
    create(
      @Body() body: { id: number },
      @IdempotencyKey() key: string,
      @IdempotentOp() op?: IdempotentOperation,
    ) {
      return `${this.prefix} ${body.id} ${key} ${op?.attempt}`;
    }

    @Post('later')
    @Idempotent()
    async later(): Promise<string> {
      throw new Error('later');
    }
  }

  it('is the plain method: arguments, result, errors and `this`', async () => {
    const orders = new Orders();

    expect(orders.create({ id: 7 }, 'k')).toBe('order 7 k undefined');
    await expect(orders.later()).rejects.toThrow('later');
  });

  it('has the name and the length that it was written with', () => {
    expect([Orders.prototype.create.name, Orders.prototype.create.length]).toEqual(['create', 3]);
  });
});
