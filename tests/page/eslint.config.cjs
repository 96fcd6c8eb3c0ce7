// The linter of the page's files (https://eslint.org), as `.ci/run` calls it. Beside what is wrong, it
// names what is too new: what Chromium 87 lacks, the oldest browser that is tried (oldest.rs), or
// another browser of the last five years.
'use strict';

const js = require('@eslint/js');
const css = require('@eslint/css').default;
const html = require('@html-eslint/eslint-plugin');
const compat = require('eslint-plugin-compat');
const es = require('eslint-plugin-es-x');

const names = (text, value, prefix = '') =>
  Object.fromEntries(text.split(' ').map(name => [prefix + name, value]));

module.exports = [
  {
    files: ['src/web/page/*.js'],
    plugins: { compat, 'es-x': es },
    settings: { browsers: ['chrome 87', 'firefox 94', 'safari 15'] },
    languageOptions: {
      ecmaVersion: 2021,
      sourceType: 'script',
      globals: {
        ...names(
          'AbortController addEventListener clearTimeout document fetch location navigator ' +
            'performance setInterval setTimeout',
          'readonly'
        ),
        onerror: 'writable',
        // One file's for another.
        ...names('endpoint percentile send verdict', 'readonly')
      }
    },
    rules: {
      ...js.configs.recommended.rules,
      ...es.configs['flat/restrict-to-es2021'].rules,
      'compat/compat': 'error',
      'no-redeclare': ['error', { builtinGlobals: false }],
      'no-unused-vars': ['error', { vars: 'local' }],
      'no-var': 'error',
      'prefer-const': 'error',
      eqeqeq: 'error',
      // Firefox knows these since version 119 only; attributes are older.
      'no-restricted-syntax': [
        'error',
        'Identifier[name=/^aria[A-Z]/]',
        'Property[key.name="role"]'
      ],
      // Of the DOM, what compat does not know: methods of elements.
      'no-restricted-properties': [
        'error',
        ...['checkVisibility', 'setHTML', 'showPopover', 'moveBefore', 'startViewTransition'].map(
          property => ({ property })
        )
      ]
    }
  },
  {
    files: ['tests/page/*.js', 'tests/page/*.cjs'],
    languageOptions: {
      sourceType: 'commonjs',
      globals: names('URL __dirname module require', 'readonly')
    },
    rules: js.configs.recommended.rules
  },
  {
    files: ['src/web/page/*.css'],
    plugins: { css },
    language: 'css/css',
    rules: {
      ...css.configs.recommended.rules,
      'css/use-baseline': [
        'error',
        {
          available: 2020,
          // Without these the page is less well-dressed, and works.
          allowProperties: [
            'accent-color',
            'color-scheme',
            'forced-color-adjust',
            'print-color-adjust'
          ],
          allowPropertyValues: { 'overflow-wrap': ['anywhere'] }
        }
      ]
    }
  },
  {
    files: ['src/web/page/*.html'],
    ...html.configs['flat/recommended'],
    rules: {
      ...html.configs['flat/recommended'].rules,
      // End tags and quotes that HTML can do without are left out.
      ...names(
        'attrs-newline element-newline indent quotes require-closing-tags',
        'off',
        '@html-eslint/'
      )
    }
  }
];
