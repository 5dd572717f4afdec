import tseslint from 'typescript-eslint';

/** Which layer may import what (the Layers section of CONTRIBUTING.md). Arrows point inwards: everything may know `core`. */
const frameworks = ['@nestjs/*', 'rxjs', 'rxjs/*', 'express', 'fastify'];
const databases = ['redis', '@redis/*', 'ioredis', 'typeorm', 'typeorm/*', 'pg', 'mysql2'];
const network = ['node:http', 'node:http2', 'node:https', 'node:net', 'http', 'https', 'net'];

const layer = (folder, { files = `${folder}/**/*.ts`, packages = [], folders = [], paths = [] }) => ({
  files: [`libs/idempotency/src/${files}`],
  ignores: ['**/*.spec.ts'],
  rules: {
    'no-restricted-imports': [
      'error',
      {
        patterns: [
          ...(packages.length
            ? [{ group: packages, message: `\`${folder}\` must not know this package.` }]
            : []),
          ...(folders.length
            ? [
                {
                  group: folders.map((name) => `**/${name}/**`),
                  message: `\`${folder}\` must not know this layer.`,
                },
              ]
            : []),
          ...paths.map((regex) => ({ regex, message: `\`${folder}\` must not know this layer.` })),
        ],
      },
    ],
  },
});

/** What is in `typeorm/outbox` is of that layer; the folder `outbox` is another, which its entry alone hands on. */
const typeorm = {
  packages: [...frameworks, 'redis', 'ioredis'],
  folders: ['http', 'nest', 'redis', 'testing'],
};

export default tseslint.config(
  { ignores: ['**/dist/**', '**/node_modules/**', '.data/**', 'coverage/**'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/unbound-method': 'off',
      eqeqeq: 'error',
    },
  },
  {
    // Tests read JSON bodies of answers whose shape is what they assert.
    files: ['test/**/*.ts', '**/*.spec.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },
  layer('core', {
    packages: [...frameworks, ...databases, ...network],
    folders: ['http', 'nest', 'redis', 'typeorm', 'outbox', 'testing'],
  }),
  layer('http', {
    packages: [...frameworks, ...databases],
    folders: ['nest', 'redis', 'typeorm', 'outbox', 'testing'],
  }),
  layer('redis', {
    packages: [...frameworks, 'typeorm', 'typeorm/*'],
    folders: ['http', 'nest', 'typeorm', 'outbox', 'testing'],
  }),
  layer('typeorm', { ...typeorm, paths: ['^\\.\\./outbox/'] }),
  layer('typeorm', { ...typeorm, files: 'typeorm/index.ts' }),
  layer('typeorm', { ...typeorm, files: 'typeorm/*/**/*.ts', paths: ['^(\\.\\./){2,}outbox/'] }),
  layer('outbox', {
    packages: [
      '@nestjs/microservices',
      'express',
      'fastify',
      ...databases.filter((name) => !/^typeorm/.test(name)),
    ],
    folders: ['http', 'redis', 'testing'],
  }),
  {
    files: ['libs/idempotency/src/index.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              group: ['**/redis/**', '**/typeorm/**', '**/outbox/**', '**/testing/**'],
              message: 'An entry of its own.',
            },
          ],
        },
      ],
    },
  },
  layer('nest', { packages: databases, folders: ['redis', 'typeorm', 'outbox', 'testing'] }),
  layer('testing', {
    packages: [...frameworks, ...databases, ...network],
    folders: ['http', 'nest', 'redis', 'typeorm', 'outbox'],
  }),
  {
    files: ['libs/idempotency/src/core/**/*.ts'],
    ignores: ['**/*.spec.ts'],
    rules: {
      'no-restricted-globals': [
        'error',
        ...['setTimeout', 'setInterval', 'setImmediate', 'performance', 'crypto', 'process'].map((name) => ({
          name,
          message: 'core gets clock, timers and randomness by injection: see ports.ts.',
        })),
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector: "MemberExpression[object.name='Date'][property.name='now']",
          message: 'Use the injected Clock.',
        },
        {
          selector: "NewExpression[callee.name='Date'][arguments.length=0]",
          message: 'Use the injected Clock.',
        },
        {
          selector: "MemberExpression[object.name='Math'][property.name='random']",
          message: 'Use the injected Randomness.',
        },
        { selector: 'ImportSpecifier[imported.name=/^random/]', message: 'Use the injected Randomness.' },
      ],
    },
  },
);
