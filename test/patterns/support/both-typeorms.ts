/**
 * Both versions of TypeORM keep what decorators say in one place per process, made by whichever comes first. What 0.3 makes
 * serves both, so this is imported before anything that has decorators of TypeORM.
 */
import { getMetadataArgsStorage } from 'typeorm-0.3';

getMetadataArgsStorage();
